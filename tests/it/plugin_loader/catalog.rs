//! Registrations become a catalog, or an error that names the crates.

use keepsight::{
    bundled::BUNDLED,
    loader::{Bundled, Catalog, CatalogError},
};
use keepsight_contract::{
    BoxError, CallContext, CallError, Host, InitError, Manifest, OutputRecord, OutputRegistration,
    OutputSettings, OutputTarget, Plugin, PluginRegistration, Request, Response,
    SourceRegistration, StreamInfo,
};

use crate::support::test_source::TestSource;

struct Named<const LETTER: char>;

impl<const LETTER: char> Plugin for Named<LETTER> {
    type Config = serde_json::Value;
    type Session = ();

    fn manifest() -> Manifest {
        assert_ne!(LETTER, '!', "this one panics");
        Manifest::new(&LETTER.to_string(), "X", "1", "x")
    }
    fn init(_: serde_json::Value, _: &Host) -> Result<Self, InitError> {
        Ok(Self)
    }
    fn open(&self, _: &StreamInfo, _: &Host) -> Result<(), CallError> {
        Ok(())
    }
    fn run(&self, (): &mut (), _: &Request, _: &CallContext) -> Result<Response, CallError> {
        Ok(Response::new())
    }
}

struct Nowhere;

impl OutputTarget for Nowhere {
    fn open(_: &OutputSettings, _: &Host) -> Result<Self, BoxError> {
        Ok(Self)
    }
    fn write(&mut self, _: &OutputRecord) -> Result<(), BoxError> {
        Ok(())
    }
}

fn plugin<const LETTER: char>(crate_name: &'static str) -> PluginRegistration {
    PluginRegistration::of::<Named<LETTER>>(crate_name)
}

#[test]
fn everything_that_this_build_was_asked_for_is_in_it() {
    let catalog = Catalog::of_this_binary(BUNDLED).unwrap_or_else(|error| panic!("{error}"));
    let crates: Vec<_> = catalog.crate_names().collect();
    for bundled in BUNDLED {
        assert!(crates.contains(&bundled.crate_name), "{bundled:?} is not among {crates:?}");
    }
}

#[test]
fn plugins_are_sorted_by_name_whatever_order_they_registered_in() {
    let plugins = [plugin::<'c'>("x"), plugin::<'a'>("z"), plugin::<'b'>("y")];
    let catalog = Catalog::new(plugins, [], []).unwrap();
    assert_eq!(catalog.plugin_ids(), ["a", "b", "c"]);
    assert_eq!(catalog.plugin("c").unwrap().registration.crate_name, "x");
}

#[test]
fn two_plugins_of_one_id_are_refused_with_both_crates_named() {
    let plugins = [plugin::<'a'>("later-crate"), plugin::<'a'>("a-crate")];
    let error = Catalog::new(plugins, [], []).err().unwrap();
    assert!(
        matches!(
            &error,
            CatalogError::DuplicatePlugin { id, first: "a-crate", second: "later-crate" } if id == "a"
        ),
        "{error}"
    );
}

#[test]
fn two_sources_or_outputs_of_one_scheme_are_refused_with_both_crates_named() {
    let source = |crate_name| SourceRegistration::of::<TestSource>(crate_name, &["x", "y"]);
    let error = Catalog::new([], [source("b"), source("a")], []).err().unwrap();
    let both =
        matches!(error, CatalogError::DuplicateScheme { scheme: "x", first: "a", second: "b" });
    assert!(both, "{error}");
    let output = |crate_name| OutputRegistration::of::<Nowhere>(crate_name, "file");
    let error = Catalog::new([], [], [output("a"), output("b")]).err().unwrap();
    assert!(matches!(error, CatalogError::DuplicateScheme { scheme: "file", .. }), "{error}");
}

#[test]
fn a_crate_that_was_asked_for_and_is_missing_is_an_error() {
    let asked = [Bundled { crate_name: "keepsight-nowhere", feature: "nowhere" }];
    let error = Catalog::of_this_binary(&asked).err().unwrap();
    assert!(
        matches!(error, CatalogError::Missing { crate_name: "keepsight-nowhere", .. }),
        "{error}"
    );
    assert!(error.to_string().contains("\"nowhere\""), "{error}");
}

#[test]
fn a_manifest_that_panics_is_an_error_and_not_the_end() {
    let error = Catalog::new([plugin::<'!'>("careless")], [], []).err().unwrap();
    assert!(
        matches!(&error, CatalogError::Manifest { crate_name: "careless", message }
            if message.contains("this one panics")),
        "{error}"
    );
}
