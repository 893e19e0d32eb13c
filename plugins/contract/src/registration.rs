use crate::{
    BoxError, CallContext, CaptureWish, DeviceListing, ErasedSource, Host, OutputSettings,
    OutputTarget, OutputWriter, Plugin, Source, SourceError, SourceUri, plugin::PluginFunctions,
};

/// A plugin in this binary. [`register_plugin!`](crate::register_plugin) submits it; a test
/// makes one with [`PluginRegistration::of`].
#[derive(Clone, Copy)]
pub struct PluginRegistration {
    /// Name of the crate that it comes from.
    pub crate_name: &'static str,
    #[doc(hidden)]
    pub functions: PluginFunctions,
}

/// A kind of source in this binary, submitted by
/// [`register_source!`](crate::register_source).
#[derive(Clone, Copy)]
pub struct SourceRegistration {
    /// Name of the crate that it comes from.
    pub crate_name: &'static str,
    /// Schemes of the URIs that it opens.
    pub schemes: &'static [&'static str],
    /// [`Source::open`].
    pub open: OpenSource,
    /// [`Source::devices`].
    pub devices: fn() -> Result<Vec<DeviceListing>, SourceError>,
}

/// A kind of output in this binary, submitted by
/// [`register_output!`](crate::register_output).
#[derive(Clone, Copy)]
pub struct OutputRegistration {
    /// Name of the crate that it comes from.
    pub crate_name: &'static str,
    /// Scheme of the addresses that it writes to.
    pub scheme: &'static str,
    /// [`OutputTarget::open`].
    pub open: OpenOutput,
}

type OpenSource =
    fn(&SourceUri, &CaptureWish, &CallContext, &Host) -> Result<Box<dyn ErasedSource>, SourceError>;
type OpenOutput = fn(&OutputSettings, &Host) -> Result<Box<dyn OutputWriter>, BoxError>;

impl PluginRegistration {
    /// The registration of `P` from the crate `crate_name`.
    pub const fn of<P: Plugin>(crate_name: &'static str) -> Self {
        Self { crate_name, functions: PluginFunctions::of::<P>() }
    }
}

impl SourceRegistration {
    /// The registration of `S` from the crate `crate_name`.
    pub const fn of<S: Source>(crate_name: &'static str, schemes: &'static [&'static str]) -> Self {
        Self {
            crate_name,
            schemes,
            open: |uri, wish, call, host| {
                S::open(uri, wish, call, host)
                    .map(|source| Box::new(source) as Box<dyn ErasedSource>)
            },
            devices: S::devices,
        }
    }
}

impl OutputRegistration {
    /// The registration of `T` from the crate `crate_name`.
    pub const fn of<T: OutputTarget>(crate_name: &'static str, scheme: &'static str) -> Self {
        Self {
            crate_name,
            scheme,
            open: |settings, host| {
                T::open(settings, host).map(|target| Box::new(target) as Box<dyn OutputWriter>)
            },
        }
    }
}

/// Everything that was registered in this binary, in no particular order.
pub mod registered {
    use super::{OutputRegistration, PluginRegistration, SourceRegistration};

    /// Every plugin.
    pub fn plugins() -> impl Iterator<Item = PluginRegistration> {
        inventory::iter::<PluginRegistration>().copied()
    }

    /// Every kind of source.
    pub fn sources() -> impl Iterator<Item = SourceRegistration> {
        inventory::iter::<SourceRegistration>().copied()
    }

    /// Every kind of output.
    pub fn outputs() -> impl Iterator<Item = OutputRegistration> {
        inventory::iter::<OutputRegistration>().copied()
    }
}

inventory::collect!(PluginRegistration);
inventory::collect!(SourceRegistration);
inventory::collect!(OutputRegistration);

/// Registers a type as a plugin of the binary that its crate is linked into.
///
/// Linking alone is not enough: the binary must name the crate (`use my_plugin as _;`), or the
/// linker leaves it out.
#[macro_export]
macro_rules! register_plugin {
    ($plugin:ty) => {
        $crate::private::inventory::submit! {
            $crate::PluginRegistration::of::<$plugin>(env!("CARGO_PKG_NAME"))
        }
    };
}

/// Registers a type as a source for URIs of some schemes:
/// `register_source!(Camera, schemes = ["camera"]);`
#[macro_export]
macro_rules! register_source {
    ($source:ty, schemes = [$($scheme:literal),+ $(,)?]) => {
        $crate::private::inventory::submit! {
            $crate::SourceRegistration::of::<$source>(env!("CARGO_PKG_NAME"), &[$($scheme),+])
        }
    };
}

/// Registers a type as a target for outputs of a scheme:
/// `register_output!(JsonLines, scheme = "file");`
#[macro_export]
macro_rules! register_output {
    ($target:ty, scheme = $scheme:literal) => {
        $crate::private::inventory::submit! {
            $crate::OutputRegistration::of::<$target>(env!("CARGO_PKG_NAME"), $scheme)
        }
    };
}
