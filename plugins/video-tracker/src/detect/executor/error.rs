/// Why a model can't be run by the executor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The bytes are no ONNX model.
    #[error("it is no ONNX model: {reason}")]
    Malformed {
        /// What is wrong with them.
        reason: String,
    },
    /// There is no code for an operator.
    #[error("there is no code for the operator {operator}")]
    Operator {
        /// Its name, with its domain unless that is the default one.
        operator: String,
    },
    /// There is no code for the way in which an operator is used.
    #[error("the operator {operator} is used in a way there is no code for: {reason}")]
    Form {
        /// Its name.
        operator: String,
        /// What is the matter.
        reason: String,
    },
    /// The model takes another input, or gives other outputs, than it should.
    #[error("{reason}")]
    Ends {
        /// What was found, and what was expected.
        reason: String,
    },
    /// It needs more than the least that every device has.
    #[error("it needs {needed} {what}, {most} is the most")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How much it would need.
        needed: usize,
        /// How much there is.
        most: usize,
    },
}

impl PlanError {
    pub(super) fn form(operator: &str, reason: impl Into<String>) -> Self {
        Self::Form { operator: operator.to_owned(), reason: reason.into() }
    }

    pub(super) fn ends(reason: impl Into<String>) -> Self {
        Self::Ends { reason: reason.into() }
    }
}
