//! The help of every command.

use crate::support::{maana, succeed};

#[test]
fn the_help_of_every_command_has_an_example() {
    let help = succeed(maana().arg("--help"));
    insta::assert_snapshot!("maana", help);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Lines indented by two spaces start with a command; lines indented further continue its
    // description.
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands.iter().filter(|command| **command != "help") {
        let help = succeed(maana().args([command, "--help"]));
        assert!(help.contains("Example"), "{command} shows no example:\n{help}");
        insta::assert_snapshot!(*command, help);
    }
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeed(maana().args(["completions", shell]));
        assert!(["similarity", "synthesize", "rerank", "score"].iter().all(|name| script.contains(name)), "{shell}");
    }
}
