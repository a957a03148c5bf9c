package views

// Form is a hosted form as it is shown, filled in so far.
type Form struct {
	Slug           string
	Name           string
	Action         string
	Key            string    // this rendering's idempotency key
	Token          string    // says when the page was made
	Aside          [2]string // names of fields that people do not see: what fills them in is a program
	Fields         []Field
	Hidden         []Hidden
	ConsentVersion string
	ConsentPhone   bool
	Message        string         // what went wrong as a whole; empty: nothing
	Problems       []FieldProblem // and in which fields
	Demo           bool
}

// Field is one question.
type Field struct {
	ID           string
	Name         string
	Label        string
	Kind         string // text, email, tel, number, area, choice, checkbox, country
	Autocomplete string
	Value        string
	Options      []Option
	Required     bool
	Optional     bool // said beside the label
	Error        string
}

// Option is one answer of a choice.
type Option struct{ Value, Label string }

// Hidden is an answer that the page gives by itself.
type Hidden struct{ Name, Value string }

// FieldProblem is one line of the summary above the form; ID is empty when no field on the page is meant.
type FieldProblem struct{ ID, Message string }

func (f Form) things() string {
	if len(f.Problems) == 1 {
		return "There is 1 thing to fix."
	}
	return "There are " + itoa(len(f.Problems)) + " things to fix."
}

// described names the elements that explain a field.
func (f Field) described() string {
	if f.Error == "" {
		return ""
	}
	return f.ID + "-error"
}

func (f Field) inputType() string {
	switch f.Kind {
	case "email", "tel":
		return f.Kind
	default:
		return "text"
	}
}

func (f Field) inputMode() string {
	if f.Kind == "number" {
		return "decimal"
	}
	return ""
}

// Thanks is the page after the form.
type Thanks struct {
	StatusURL string // where the page asks what became of the request
	Receipt   string
	Reference string
	State     string // finding, with_rep, calling, received
	Rep       string // the rep's first name, or empty
	Demo      bool
}

// Headline says what is known, and nothing that is not.
func (t Thanks) Headline() string {
	switch {
	case t.State == "calling" && t.Rep != "":
		return "Thanks. " + t.Rep + " is calling you now."
	case t.State == "with_rep" && t.Rep != "":
		return "Thanks. " + t.Rep + " has your request."
	case t.State == "finding":
		return "Thanks. We are finding the right person."
	default:
		return "Thanks. We have your request."
	}
}

// Detail says what comes next.
func (t Thanks) Detail() string {
	switch {
	case t.State == "calling":
		return "Keep your phone near."
	case t.State == "with_rep" && t.Rep != "":
		return t.Rep + " will be in touch shortly."
	case t.State == "finding":
		return "Your answers are safe. You can close this page; we will reach you."
	default:
		return "We will reach you by phone or email."
	}
}
