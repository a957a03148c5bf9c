package migrations

// UpFrom and CheckFrom let a test play a release with other files.
var (
	UpFrom    = up
	CheckFrom = check
	Files     = files
)
