package migrations

// Previous is the commit whose binary must go on working while this release migrates, and beside this release until it is
// stopped: the last release. internal/journey builds it and lets both serve one database under load. Set it with each release.
const Previous = "487b1af2b50ba1bb7d4841f278998e55e1708826"
