//! Every file of `tests/cmd` is a session at a terminal: commands, what they print, how they exit. No network is there.

#[test]
fn commands_print_and_exit_as_their_sessions_say() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd").run();
}
