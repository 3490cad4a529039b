//! The help of every command, as a picture: a change of a flag is seen in review.

use clap::{Command, CommandFactory as _};

/// The long help of a command and of all below it.
fn help(command: &mut Command, path: &str, text: &mut String) {
    let name = format!("{path}{}", command.get_name());
    text.push_str(&format!("=== {name}\n{}\n", command.render_long_help()));
    for below in command.get_subcommands_mut() {
        if below.get_name() != "help" {
            help(below, &format!("{name} "), text);
        }
    }
}

fn picture(command: Command) -> String {
    let mut command = command.term_width(100);
    command.build();
    let mut text = String::new();
    help(&mut command, "", &mut text);
    text
}

#[test]
fn tsh_has_the_help_that_was_agreed() {
    insta::assert_snapshot!("tsh_help", picture(cli::tsh::Tsh::command()));
}

#[test]
fn tctl_has_the_help_that_was_agreed() {
    insta::assert_snapshot!("tctl_help", picture(cli::tctl::Tctl::command()));
}
