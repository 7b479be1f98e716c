//! What people read first: the help of every command.

use crate::support::{maana, succeed};

#[test]
fn every_command_explains_itself_with_an_example() {
    let help = succeed(maana().arg("--help"));
    insta::assert_snapshot!("maana", help);
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What a line of two spaces and a letter begins is a command; deeper lines go on with its description.
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
        assert!(script.contains("similarity") && script.contains("synthesize"), "{shell}");
    }
}
