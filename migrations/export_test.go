package migrations

// UpFrom and CheckFrom let a test play a release with other files.
var (
	UpFrom    = up
	CheckFrom = check
	Files     = files
)

// Split gives the texts of a file's statements.
func Split(body string) ([]string, error) {
	all, err := split(body)
	var texts []string
	for _, one := range all {
		texts = append(texts, one.text)
	}
	return texts, err
}

// RuleNames gives the rules of Lint.
func RuleNames() []string {
	var names []string
	for _, r := range allRules() {
		names = append(names, r.name)
	}
	return names
}
