package migrations

// Previous is the commit whose binary must go on working while this release migrates, and beside this release until it is
// stopped: the last release. internal/journey builds it and lets both serve one database under load. Set it with each release.
const Previous = "f4ca8916888d73c751af15370bba8b70efef58f0"
