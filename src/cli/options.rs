//! Settings as command line options.

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use freshql::config::{PartialConfig, Place, SETTINGS, Setting};

/// Which settings a command accepts as options.
pub(super) trait Options {
    fn has(setting: &Setting) -> bool;
}

/// The values that the command line and the environment give to these settings.
#[derive(Debug)]
pub(crate) struct Given<O> {
    pub(super) config: PartialConfig,
    options: std::marker::PhantomData<O>,
}

/// The options of every command.
#[derive(Debug)]
pub(crate) struct Project;
/// Those of `serve`.
#[derive(Debug)]
pub(crate) struct Serve;
/// Where the server listens, for commands that need nothing else of `serve`.
#[derive(Debug)]
pub(crate) struct Listen;

pub(super) type ProjectOptions = Given<Project>;
pub(super) type ServeOptions = Given<Serve>;
pub(super) type ListenOption = Given<Listen>;

impl Options for Project {
    fn has(setting: &Setting) -> bool {
        matches!(setting.place, Place::Directory | Place::Project)
    }
}

impl Options for Serve {
    fn has(setting: &Setting) -> bool {
        matches!(setting.place, Place::Serve | Place::Limits)
    }
}

impl Options for Listen {
    fn has(setting: &Setting) -> bool {
        setting.name == "listen"
    }
}

fn settings<O: Options>() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| O::has(setting))
}

fn option(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.name)
        .long(setting.option().unwrap_or_default())
        .env(setting.variable().unwrap_or_default())
        .value_name(setting.value_name)
        .help(format!("{} [default: {}]", setting.help(), setting.default))
        .global(matches!(setting.place, Place::Directory | Place::Project));
    if setting.is_switch {
        let arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
        return arg.value_parser(["true", "false"]);
    }
    // Read here for its mistakes, which clap then shows with the option's name.
    arg.value_parser(
        OsStringValueParser::new()
            .try_map(|text| PartialConfig::default().set(setting, &text).map(|()| text)),
    )
}

impl<O: Options> Args for Given<O> {
    fn augment_args(command: Command) -> Command {
        command.args(settings::<O>().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<O: Options> FromArgMatches for Given<O> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given =
            Self { config: PartialConfig::default(), options: std::marker::PhantomData };
        given.update_from_arg_matches(matches)?;
        Ok(given)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in settings::<O>() {
            if let Some(text) = matches.get_raw(setting.name).and_then(Iterator::last) {
                let taken = self.config.set(setting, text);
                taken.map_err(|error| clap::Error::raw(ErrorKind::ValueValidation, error))?;
            }
        }
        Ok(())
    }
}
