"""The vramgate command, one file per subcommand."""
