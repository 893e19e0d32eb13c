use crate::error::GpuError;
use crate::survey::{AdapterKind, enumerate};

/// Which adapters a device may be opened on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdapterChoice {
    /// Whether the processor itself may stand in, as with lavapipe.
    pub allow_software: bool,
    /// A part of the adapter's name, compared without regard to case; `None`
    /// takes the most suitable one.
    pub name: Option<String>,
}

impl AdapterChoice {
    /// The most suitable adapter that this choice permits.
    pub(crate) fn find(&self) -> Result<wgpu::Adapter, GpuError> {
        let offers = enumerate()
            .into_iter()
            .map(|adapter| {
                let info = adapter.get_info();
                let shortfall = shortfall(&info.name, &adapter.limits());
                Offer {
                    kind: AdapterKind::of(info.device_type),
                    name: info.name,
                    shortfall,
                    adapter,
                }
            })
            .collect();
        self.pick(offers)
    }

    /// Among adapters of the wanted name: the permitted ones, the sufficient
    /// ones of those, the best kind of those. `T` is `wgpu::Adapter` outside of
    /// tests.
    fn pick<T>(&self, mut offers: Vec<Offer<T>>) -> Result<T, GpuError> {
        if offers.is_empty() {
            return Err(GpuError::NoAdapter);
        }
        if let Some(wanted) = &self.name {
            let lower = wanted.to_lowercase();
            let found = offers.iter().map(|offer| offer.name.clone()).collect();
            offers.retain(|offer| offer.name.to_lowercase().contains(&lower));
            if offers.is_empty() {
                return Err(GpuError::NotNamed { wanted: wanted.clone(), found });
            }
        }
        if !self.allow_software {
            let name = offers[0].name.clone();
            offers.retain(|offer| offer.kind != AdapterKind::Software);
            if offers.is_empty() {
                return Err(GpuError::SoftwareOnly { name });
            }
        }
        // Stable, so that the driver's own order decides among equals.
        offers.sort_by_key(|offer| (offer.shortfall.is_some(), offer.kind));
        let best = offers.swap_remove(0);
        match best.shortfall {
            Some(error) => Err(error),
            None => Ok(best.adapter),
        }
    }
}

struct Offer<T> {
    kind: AdapterKind,
    name: String,
    shortfall: Option<GpuError>,
    adapter: T,
}

/// The first limit in which an adapter falls short of the least that kernels
/// are written for.
fn shortfall(name: &str, offered: &wgpu::Limits) -> Option<GpuError> {
    let mut first = None;
    wgpu::Limits::downlevel_defaults().check_limits_with_fail_fn(
        offered,
        true,
        |limit, needed, offered| {
            first = Some(GpuError::Insufficient {
                name: name.to_owned(),
                limit: limit.to_owned(),
                needed,
                offered,
            });
        },
    );
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(name: &str, kind: AdapterKind) -> Offer<String> {
        Offer { kind, name: name.to_owned(), shortfall: None, adapter: name.to_owned() }
    }

    #[track_caller]
    fn check(choice: AdapterChoice, offers: Vec<Offer<String>>, expected: &str) {
        let outcome = match choice.pick(offers) {
            Ok(name) => name,
            Err(error) => error.to_string(),
        };
        assert_eq!(outcome, expected);
    }

    #[test]
    fn the_best_kind_is_taken() {
        let offers = || {
            vec![
                offer("llvmpipe", AdapterKind::Software),
                offer("Iris", AdapterKind::Integrated),
                offer("Radeon", AdapterKind::Discrete),
                offer("Radeon 2", AdapterKind::Discrete),
            ]
        };
        check(AdapterChoice::default(), offers(), "Radeon");
        let named = |name: &str| AdapterChoice { name: Some(name.into()), ..Default::default() };
        check(named("iris"), offers(), "Iris");
        check(
            named("geforce"),
            offers(),
            "no adapter is named \"geforce\"; there is llvmpipe, Iris, Radeon, Radeon 2",
        );
        check(named("llvm"), offers(), "the only adapter is llvmpipe, which is software");
    }

    #[test]
    fn software_stands_in_only_where_it_is_allowed() {
        let offers = || vec![offer("llvmpipe", AdapterKind::Software)];
        check(
            AdapterChoice::default(),
            offers(),
            "the only adapter is llvmpipe, which is software",
        );
        check(AdapterChoice { allow_software: true, name: None }, offers(), "llvmpipe");
    }

    #[test]
    fn nothing_there_is_said() {
        check(
            AdapterChoice::default(),
            Vec::new(),
            "no graphics driver on this machine offers an adapter",
        );
    }

    #[test]
    fn an_insufficient_adapter_is_taken_by_nobody() {
        let small = wgpu::Limits {
            max_storage_buffers_per_shader_stage: 2,
            ..wgpu::Limits::downlevel_defaults()
        };
        let weak = |name: &str| Offer {
            shortfall: shortfall(name, &small),
            ..offer(name, AdapterKind::Discrete)
        };
        check(
            AdapterChoice::default(),
            vec![weak("old"), offer("Iris", AdapterKind::Integrated)],
            "Iris",
        );
        check(
            AdapterChoice::default(),
            vec![weak("old")],
            "old falls short of max_storage_buffers_per_shader_stage: 4 needed, 2 offered",
        );
    }

    #[test]
    fn every_error_has_a_hint() {
        for error in [
            GpuError::NoAdapter,
            GpuError::SoftwareOnly { name: "x".into() },
            GpuError::NotNamed { wanted: "x".into(), found: Vec::new() },
        ] {
            assert!(!error.hint().is_empty(), "{error}");
        }
    }
}
