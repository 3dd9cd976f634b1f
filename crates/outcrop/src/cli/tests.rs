//! What the command line says of itself.

use clap::{CommandFactory as _, Parser as _};
use expect_test::{Expect, expect};

use super::Cli;

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

fn help(subcommand: &str) -> String {
    let mut command = Cli::command();
    let found = command
        .find_subcommand_mut(subcommand)
        .unwrap()
        .clone()
        .bin_name(format!("outcrop {subcommand}"))
        .term_width(100);
    found.clone().render_help().to_string()
}

#[test]
fn help_texts() {
    expect![[r"
        Serve agents until told to stop

        Usage: outcrop serve [OPTIONS]

        Options:
              --config <FILE>   Configuration file [default: OUTCROP_CONFIG, else ./outcrop.toml if it
                                exists]
              --listen <ADDR>   Address and port to listen on; port 0 lets the system choose [default:
                                127.0.0.1:8474]
              --data-dir <DIR>  Folder for agents, sessions and journals [default: outcrop-data]
          -h, --help            Print help (see more with '--help')
    "]].assert_eq(&help("serve"));
    expect![[r"
        Ask an agent something

        Usage: outcrop invoke [OPTIONS] --agent <ID|NAME> [TEXT]...

        Arguments:
          [TEXT]...  What to say

        Options:
              --agent <ID|NAME>        The agent's id or name
              --alias <ID|NAME>        The alias's id or name [default: TSTALIASID]
              --session <ID>           Go on with this session [default: a new one]
              --endpoint <URL>         Where the agent is served [default: OUTCROP_ENDPOINT, else
                                       http://127.0.0.1:8474]
              --aws                    Ask AWS itself, with the credentials of the AWS environment
              --region <REGION>        AWS region [default: the AWS environment's]
              --attribute <KEY=VALUE>  A session attribute; may be repeated
              --stream                 Show the answer as the model writes it
              --no-trace               Leave the trace out
              --json                   Print the events as JSON, one a line, and nothing else
          -i, --interactive            Hold a conversation, beginning with TEXT if it is given
          -h, --help                   Print help (see more with '--help')
    "]]
    .assert_eq(&help("invoke"));
    expect![[r"
        Copy an agent from AWS, or from another server

        Usage: outcrop pull [OPTIONS] --agent <ID|NAME>

        Options:
              --agent <ID|NAME>  The agent's id or name
              --alias <ID|NAME>  The alias's id or name: the agent as this alias serves it, and no other
                                 version [default: the draft, with all versions and aliases]
              --profile <NAME>   The profile of the AWS configuration to read with
              --endpoint <URL>   Read from this server instead of AWS
              --region <REGION>  AWS region [default: the AWS environment's]
              --into <DIR>       The folder to write [default: the agent's name]
              --push <URL>       Put the agent straight into this server, where it keeps its ids; a folder
                                 is written only with --into
          -h, --help             Print help (see more with '--help')
    "]]
    .assert_eq(&help("pull"));
}

#[test]
fn help_texts_for_tool_authors() {
    expect![[r"
        Look for what would fail before a call does

        Usage: outcrop lint [OPTIONS] [TEMPLATE]

        Arguments:
          [TEMPLATE]  A CloudFormation or SAM template, YAML or JSON

        Options:
              --agent <ID|NAME>        The draft of this agent on the server, by id or name, instead of a
                                       template
              --dry-run-handlers       Send every handler an example of each call, and check the replies.
                                       Runs the handlers' code
              --format <FORMAT>        How to tell it [default: text] [possible values: text, json]
              --strict                 Count warnings as errors
              --parameter <KEY=VALUE>  A parameter of the template; may be repeated
              --env <ENV>              An environment: `parameters.ENV.toml` beside the template gives
                                       values of parameters
              --config <FILE>          Configuration whose [[functions]] run what the template does not
                                       declare [default: OUTCROP_CONFIG, else ./outcrop.toml if it exists]
              --endpoint <URL>         The server [default: OUTCROP_ENDPOINT, else http://127.0.0.1:8474]
              --region <REGION>        AWS region [default: the AWS environment's, else the server's]
          -h, --help                   Print help (see more with '--help')
    "]]
    .assert_eq(&help("lint"));
    expect![[r"
        Write a Python handler for an action group

        Usage: outcrop scaffold [OPTIONS] --into <DIR> [SCHEMA|TEMPLATE]

        Arguments:
          [SCHEMA|TEMPLATE]  An OpenAPI schema, a function schema, or a template with agents; JSON or YAML

        Options:
              --agent <ID|NAME>        Take the action group from this agent's draft on the server, by id or
                                       name
              --group <NAME>           The action group [default: all that one function runs; for a schema,
                                       the file's name]
              --into <DIR>             The folder to write
              --style <STYLE>          What the handler is built on [default: plain] [possible values:
                                       plain, powertools]
              --parameter <KEY=VALUE>  A parameter of the template; may be repeated
              --endpoint <URL>         The server [default: OUTCROP_ENDPOINT, else http://127.0.0.1:8474]
              --region <REGION>        AWS region [default: the AWS environment's, else the server's]
          -h, --help                   Print help (see more with '--help')
    "]]
    .assert_eq(&help("scaffold"));
    expect![[r"
        Call and list the functions behind action groups

        Usage: outcrop function <COMMAND>

        Commands:
          invoke  Call one function with the event that a turn would send
          list    List the functions that the server runs
          help    Print this message or the help of the given subcommand(s)

        Options:
          -h, --help  Print help
    "]]
    .assert_eq(&help("function"));
}

#[track_caller]
fn refused(arguments: &[&str], expected: &Expect) {
    let error = Cli::try_parse_from(arguments).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    expected.assert_eq(&error.to_string());
}

#[test]
fn usage_errors() {
    refused(
        &["outcrop", "serv"],
        &expect![[r"
            error: unrecognized subcommand 'serv'

              tip: a similar subcommand exists: 'serve'

            Usage: outcrop <COMMAND>

            For more information, try '--help'.
        "]],
    );
    refused(
        &["outcrop", "invoke", "hello"],
        &expect![[r"
        error: the following required arguments were not provided:
          --agent <ID|NAME>

        Usage: outcrop invoke --agent <ID|NAME> <TEXT>...

        For more information, try '--help'.
    "]],
    );
    refused(
        &[
            "outcrop",
            "invoke",
            "--agent",
            "a",
            "--attribute",
            "novalue",
            "hello",
        ],
        &expect![[r"
            error: invalid value 'novalue' for '--attribute <KEY=VALUE>': expected KEY=VALUE

            For more information, try '--help'.
        "]],
    );
    refused(
        &[
            "outcrop",
            "invoke",
            "--agent",
            "a",
            "--aws",
            "--endpoint",
            "http://x",
            "hello",
        ],
        &expect![[r"
            error: the argument '--aws' cannot be used with '--endpoint <URL>'

            Usage: outcrop invoke --agent <ID|NAME> --aws <TEXT>...

            For more information, try '--help'.
        "]],
    );
}
