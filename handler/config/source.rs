//! Where the values of settings come from, and the reader that turns them into types and collects every problem.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use serde::Serialize;

use super::secrets::{self, Vaults};
use super::settings::{self, SETTINGS, Setting};
use crate::key_vault::VaultSecret;
use crate::secret::Secret;

/// Values of settings from outside, by name.
#[derive(Clone, Default)]
pub struct Source {
    values: BTreeMap<String, String>,
    overrides: BTreeMap<&'static str, String>,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_list().entries(self.values.keys()).entries(self.overrides.keys()).finish()
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Given on the command line.
    CommandLine,
    /// From an environment variable.
    Environment,
    /// The default of the table.
    Default,
    /// Neither set nor with a default.
    Unset,
}

/// A setting as it stands, for showing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Its name.
    pub name: &'static str,
    /// Its value; `***` for a secret that is set.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
    /// What it is for.
    pub help: &'static str,
}

/// Something wrong with a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The setting's name.
    pub name: &'static str,
    /// What is wrong with it. Never holds a value.
    pub problem: String,
}

impl Source {
    /// The environment of this process.
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads it")]
    pub fn environment() -> Self {
        let known = SETTINGS.iter().map(|setting| setting.name).chain(super::PLATFORM_VARIABLES.iter().copied());
        // A variable that is not text cannot be a value of ours.
        let values = known.filter_map(|name| Some((name.to_owned(), std::env::var_os(name)?.into_string().ok()?)));
        Self { values: values.collect(), overrides: BTreeMap::new() }
    }

    /// Values given by name, as tests do.
    pub fn of<'a>(values: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let values = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { values: values.collect(), overrides: BTreeMap::new() }
    }

    /// The same with a value from the command line, if there is one.
    pub fn with_override(mut self, name: &'static str, value: Option<String>) -> Self {
        self.overrides.extend(value.map(|value| (name, value)));
        self
    }

    /// A value as it was given, or the default. An empty value is no value.
    pub(super) fn raw(&self, name: &str) -> (Option<&str>, Origin) {
        let given = |value: &'_ String| !value.trim().is_empty();
        if let Some(value) = self.overrides.get(name).filter(|value| given(value)) {
            return (Some(value.trim()), Origin::CommandLine);
        }
        if let Some(value) = self.values.get(name).filter(|value| given(value)) {
            return (Some(value.trim()), Origin::Environment);
        }
        match settings::find(name).and_then(|setting| setting.default) {
            Some(default) => (Some(default), Origin::Default),
            None => (None, Origin::Unset),
        }
    }

    /// The port of the Functions host, when it has started this process.
    pub fn host_port(&self) -> Option<u16> {
        self.raw("FUNCTIONS_CUSTOMHANDLER_PORT").0?.parse().ok()
    }

    /// Every setting as it stands, secrets hidden.
    pub fn shown(&self) -> Vec<Shown> {
        let show = |setting: &Setting| {
            let (value, origin) = self.raw(setting.name);
            let value = value.map(|value| if setting.secret { "***".to_owned() } else { value.to_owned() });
            Shown { name: setting.name, value, origin, help: setting.help }
        };
        SETTINGS.iter().map(show).collect()
    }
}

/// Reads settings one after another and remembers what is wrong.
pub(super) struct Reader<'a> {
    source: &'a Source,
    problems: Vec<Problem>,
    vaults: Option<Vaults>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        let mut reader = Self { source, problems: Vec::new(), vaults: None };
        for setting in SETTINGS {
            if source.raw(setting.name).0.is_some_and(secrets::is_unresolved) {
                reader.problem(setting.name, secrets::UNRESOLVED);
            }
        }
        reader
    }

    /// Lets references to Key Vaults be followed from now on, with an identity.
    pub(super) fn open_vaults(&mut self, credential: Arc<dyn TokenCredential>) {
        self.vaults = Some(Vaults::new(self, credential));
    }

    pub(super) fn text(&self, name: &'static str) -> Option<String> {
        self.source.raw(name).0.map(str::to_owned)
    }

    /// A secret, or where it is in a Key Vault.
    pub(super) fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let text = self.text(name)?;
        self.secret_of(name, &text)
    }

    /// The same for one of several in a setting.
    pub(super) fn secret_of(&mut self, name: &'static str, text: &str) -> Option<Secret> {
        let vaults = self.vaults.as_mut().filter(|_| text.starts_with(secrets::REFERENCE));
        match vaults.map(|vaults| vaults.secret(text)) {
            Some(secret) => self.accept(name, secret).map(Secret::InVault),
            None => Some(Secret::from(text)),
        }
    }

    /// A value of a type that can be read from text; `fallback` stands in when it cannot, so that reading goes on.
    pub(super) fn parsed<T: FromStr<Err = E>, E: fmt::Display>(&mut self, name: &'static str, fallback: T) -> T {
        let Some(text) = self.text(name) else {
            self.problem(name, "must be set");
            return fallback;
        };
        text.parse().unwrap_or_else(|e: E| {
            self.problem(name, e);
            fallback
        })
    }

    /// A whole number within bounds.
    pub(super) fn number(&mut self, name: &'static str, least: u64, most: u64) -> u64 {
        let text = self.text(name).unwrap_or_default();
        match text.parse::<u64>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.problem(name, format!("must be a whole number from {least} to {most}"));
                least
            }
        }
    }

    pub(super) fn problem(&mut self, name: &'static str, problem: impl fmt::Display) {
        let problem = Problem { name, problem: problem.to_string() };
        // Two that need the same setting are one problem.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Takes a result, and its error as the problem of a setting.
    pub(super) fn accept<T>(&mut self, name: &'static str, result: crate::error::Result<T>) -> Option<T> {
        result.map_err(|e| self.problem(name, e.message())).ok()
    }

    /// The secrets that references led to; or what is wrong.
    pub(super) fn finish(self) -> Result<Vec<Arc<VaultSecret>>, Vec<Problem>> {
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(self.vaults.map(Vaults::into_secrets).unwrap_or_default())
    }
}
