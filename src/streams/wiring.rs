use std::sync::Arc;

use keepsight_contract::Manifest;

/// Why a plugin on a stream would never get what it works on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WiringError {
    /// Nobody on the stream gives it.
    #[error(
        "the plugin {plugin:?} works on {wanted}, which no other plugin of the stream gives; name \
         one that does before it"
    )]
    NotGiven {
        /// The instance's name.
        plugin: String,
        /// What it works on.
        wanted: String,
    },
    /// Somebody behind it does.
    #[error(
        "the plugin {plugin:?} works on {wanted}, which {giver:?} gives behind it; name {giver:?} \
         first"
    )]
    TooLate {
        /// The instance's name.
        plugin: String,
        /// What it works on.
        wanted: String,
        /// Who gives it.
        giver: String,
    },
    /// Each waits for what another of them gives.
    #[error("the plugins {plugins} wait for each other's results; name one that begins without")]
    Cycle {
        /// The instances' names.
        plugins: String,
    },
}

/// For each plugin of a stream, in its order: which earlier one it is to follow, if any. That is
/// the last earlier one that produces something it consumes.
pub(super) fn wiring(manifests: &[Option<Arc<Manifest>>]) -> Vec<Option<usize>> {
    let known = |index: usize| manifests[index].as_deref();
    (0..manifests.len())
        .map(|index| (0..index).rev().find(|earlier| gives(known(*earlier), known(index))))
        .collect()
}

/// Whether each plugin that consumes anything has an earlier one that produces some of it. Nothing
/// is asked where one of them isn't in this build: nobody knows what it would give.
pub(super) fn check_wiring(plugins: &[(&str, Option<&Manifest>)]) -> Result<(), WiringError> {
    let known: Option<Vec<&Manifest>> = plugins.iter().map(|(_, manifest)| *manifest).collect();
    let Some(manifests) = known else { return Ok(()) };
    let all = 0..plugins.len();
    let feeds =
        |giver: usize, to: usize| giver != to && gives(Some(manifests[giver]), Some(manifests[to]));
    let waits = |plugin: usize| !manifests[plugin].consumes.is_empty();
    let is_unfed = |plugin: &usize| waits(*plugin) && !(0..*plugin).any(|it| feeds(it, *plugin));
    let Some(plugin) = all.clone().find(is_unfed) else { return Ok(()) };

    let name = |plugin: usize| plugins[plugin].0.to_owned();
    let wanted = |plugin: usize| {
        let kinds = manifests[plugin].consumes.iter().map(ToString::to_string);
        kinds.collect::<Vec<_>>().join(" or ")
    };
    // An order in which they could work, of as many as can.
    let mut order: Vec<usize> = Vec::new();
    let can_follow = |order: &[usize], next: usize| {
        !waits(next) || order.iter().any(|giver| feeds(*giver, next))
    };
    while let Some(next) =
        all.clone().find(|next| !order.contains(next) && can_follow(&order, *next))
    {
        order.push(next);
    }
    if order.contains(&plugin)
        && let Some(giver) = order.iter().find(|giver| feeds(**giver, plugin))
    {
        let (plugin, wanted) = (name(plugin), wanted(plugin));
        return Err(WiringError::TooLate { plugin, wanted, giver: name(*giver) });
    }
    // Whoever it waits for waits as well, up to one that nobody feeds, or round in a circle.
    let mut chain = vec![plugin];
    loop {
        let last = chain[chain.len() - 1];
        let Some(giver) = all.clone().find(|giver| feeds(*giver, last)) else {
            return Err(WiringError::NotGiven { plugin: name(last), wanted: wanted(last) });
        };
        if let Some(begin) = chain.iter().position(|seen| *seen == giver) {
            let circle = chain[begin..].iter().map(|plugin| format!("{:?}", plugins[*plugin].0));
            return Err(WiringError::Cycle { plugins: circle.collect::<Vec<_>>().join(", ") });
        }
        chain.push(giver);
    }
}

fn gives(giver: Option<&Manifest>, to: Option<&Manifest>) -> bool {
    let (Some(giver), Some(to)) = (giver, to) else { return false };
    to.consumes.iter().any(|kind| giver.produces.contains(kind))
}

#[cfg(test)]
mod tests {
    use keepsight_contract::OutputKind::{self, Detections, Json, Regions, Tracks};

    use super::*;

    fn plugin(consumes: &[OutputKind], produces: &[OutputKind]) -> Option<Arc<Manifest>> {
        let mut manifest = Manifest::new("x", "X", "1", "x");
        manifest.consumes = consumes.to_vec();
        manifest.produces = produces.to_vec();
        Some(Arc::new(manifest))
    }

    #[test]
    fn a_plugin_follows_whoever_produces_what_it_consumes() {
        let tracker = plugin(&[], &[Tracks]);
        let stats = plugin(&[], &[Json]);
        let zones = plugin(&[Tracks], &[Regions]);
        let alarm = plugin(&[Regions], &[]);
        let order = [tracker, stats, zones.clone(), alarm, None];
        assert_eq!(wiring(&order), [None, None, Some(0), Some(2), None]);
        assert_eq!(wiring(&[zones]), [None]);
    }

    /// Plugins a, b, c … by what they consume and produce; what is said of them.
    #[track_caller]
    fn check(plugins: &[(&[OutputKind], &[OutputKind])], said: &str) {
        let manifests: Vec<_> = plugins.iter().map(|(takes, gives)| plugin(takes, gives)).collect();
        let named: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(&manifests).collect();
        let named: Vec<_> = named.into_iter().map(|(name, it)| (name, it.as_deref())).collect();
        let found = check_wiring(&named).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(found.is_empty(), said.is_empty(), "{found}");
        assert!(found.contains(said), "{found}");
    }

    #[test]
    fn whoever_gets_what_it_works_on_fits() {
        check(&[], "");
        check(&[(&[], &[])], "");
        check(&[(&[], &[Tracks]), (&[Tracks], &[Tracks]), (&[Regions, Tracks], &[])], "");
    }

    #[test]
    fn who_gets_nothing_is_named_with_what_it_needs() {
        check(&[(&[Tracks], &[])], "\"a\" works on tracks, which no other plugin");
        check(&[(&[], &[Json]), (&[Tracks, Regions], &[])], "\"b\" works on tracks or regions");
        check(&[(&[Tracks], &[Tracks])], "\"a\" works on tracks, which no other plugin");
        // The one at the root of it.
        check(
            &[(&[Tracks], &[]), (&[Detections], &[Tracks])],
            "\"b\" works on detections, which no",
        );
    }

    #[test]
    fn who_comes_too_early_is_told_whom_to_name_first() {
        check(&[(&[Tracks], &[]), (&[], &[Tracks])], "\"b\" gives behind it; name \"b\" first");
        let chain: [(&[OutputKind], &[OutputKind]); 3] =
            [(&[Regions], &[]), (&[Tracks], &[Regions]), (&[], &[Tracks])];
        check(&chain, "\"a\" works on regions, which \"b\" gives");
    }

    #[test]
    fn a_circle_is_named() {
        check(&[(&[Regions], &[Tracks]), (&[Tracks], &[Regions])], "\"a\", \"b\" wait for each");
        let behind: [(&[OutputKind], &[OutputKind]); 4] = [
            (&[], &[Json]),
            (&[Regions], &[]),
            (&[Tracks], &[Regions]),
            (&[Regions, Detections], &[Tracks]),
        ];
        check(&behind, "\"c\", \"d\" wait for each other");
    }

    #[test]
    fn nothing_is_asked_beside_a_plugin_that_is_not_known() {
        let wants = plugin(&[Tracks], &[]);
        let unknown = check_wiring(&[("a", None), ("b", wants.as_deref())]);
        assert_eq!(unknown, Ok(()));
    }
}
