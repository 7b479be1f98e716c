//! `maana completions`.

use anyhow::Result;

/// Print completions for a shell.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  maana completions bash > ~/.local/share/bash-completion/completions/maana")]
pub(crate) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    /// Prints completions of the command line that `description` describes.
    pub(crate) fn run(self, mut description: clap::Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut description, "maana", &mut script);
        crate::terminal::print(format_args!("{}", String::from_utf8(script)?))
    }
}
