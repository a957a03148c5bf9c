package migrations

// Previous is the commit whose binary must go on working while this release migrates, and beside this release until it is
// stopped: the last release. internal/journey builds it and lets both serve one database under load. Set it with each release.
const Previous = "a0896fb5dc5fc23d84d5dfcd76c49b79fe1406bf"
