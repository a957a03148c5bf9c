package lead

import (
	"regexp"
	"strings"
)

var (
	numberRE    = regexp.MustCompile(`^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$`)
	thousandsRE = regexp.MustCompile(`^-?[1-9]\d{0,2}([.,' ]\d{3})+([.,]\d+)?$`)
	lakhsRE     = regexp.MustCompile(`^-?[1-9]\d?(,\d{2})+,\d{3}(\.\d+)?$`)
	decimalsRE  = regexp.MustCompile(`^-?\d*,\d+$`)
)

// number reads a number as people write it, with either decimal mark and any mark between thousands, and gives it with a point and nothing
// else. One comma before exactly three digits parts thousands; one point there is left as it is, since programs write decimals that way.
func (n *normaliser) number(def FormField, name, sent string) string {
	sent = narrow(line(sent))
	if sent == "" {
		return ""
	}
	value := plainNumber(sent)
	if value == "" || len(value) > maxOther {
		n.wrong(name, "not_a_number", "Enter a number for "+def.Title()+", like 25.")
		return ""
	}
	return value
}

// plainNumber is empty for what is no number.
func plainNumber(s string) string {
	s = strings.TrimSuffix(numberMarks.Replace(strings.TrimPrefix(s, "+")), ".")
	switch {
	case numberRE.MatchString(s):
		return s
	case thousandsRE.MatchString(s):
		return joinThousands(s)
	case lakhsRE.MatchString(s):
		return strings.ReplaceAll(s, ",", "")
	case decimalsRE.MatchString(s):
		return strings.Replace(s, ",", ".", 1)
	}
	return ""
}

// numberMarks are the marks that narrow leaves as they are, and the space between a sign and its number.
var numberMarks = strings.NewReplacer("٫", ".", "٬", ",", "’", "'", "‘", "'", "- ", "-")

// joinThousands takes out the mark between thousands, which is the first one, and makes another mark after them the point. It gives nothing
// when the marks contradict each other.
func joinThousands(s string) string {
	whole, decimals := strings.TrimPrefix(s, "-"), ""
	mark := whole[strings.IndexAny(whole, ".,' ")]
	if at := strings.LastIndexAny(whole, ".,"); at >= 0 && whole[at] != mark {
		whole, decimals = whole[:at], "."+whole[at+1:]
	}
	for i, group := range strings.Split(whole, string(mark)) {
		if i > 0 && len(group) != 3 {
			return ""
		}
	}
	if whole = strings.ReplaceAll(whole, string(mark), ""); strings.Trim(whole, "0123456789") != "" {
		return ""
	}
	if s[0] == '-' {
		whole = "-" + whole
	}
	return whole + decimals
}
