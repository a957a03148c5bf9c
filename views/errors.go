package views

// Problem is an error as a page shows it.
type Problem struct {
	Status    int
	Title     string
	Message   string
	Reference string // the correlation id, for support
}
