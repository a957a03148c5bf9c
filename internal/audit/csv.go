package audit

import (
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var csvHead = []string{
	"seq", "at", "actor_kind", "actor", "actor_name", "action", "object_kind", "object", "object_name", "detail", "note",
	"note_erased", "correlation_id", "hash",
}

// WriteCSV writes entries with a line of names before them. No cell can become a formula in a spreadsheet.
func WriteCSV(to io.Writer, lines []Line) error {
	w := csv.NewWriter(to)
	w.UseCRLF = true // RFC 4180
	_ = w.Write(csvHead)
	for _, l := range lines {
		actor := ""
		if l.Actor != nil {
			actor = l.Actor.String()
		}
		cells := []string{
			strconv.FormatInt(l.Seq, 10), canonical(l.At), l.ActorKind, actor, l.ActorName, string(l.Action), l.ObjectKind, l.Object,
			l.ObjectName, string(l.Detail), l.Note, strconv.FormatBool(l.Erased), l.CorrelationID, hex.EncodeToString(l.Hash),
		}
		for i, cell := range cells {
			cells[i] = harmless(cell)
		}
		_ = w.Write(cells) // a failure shows at the end
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// harmless puts an apostrophe before what a spreadsheet could take for a formula, after leading blanks and in full width too.
func harmless(cell string) string {
	if cell == "" {
		return cell
	}
	first, _ := utf8.DecodeRuneInString(strings.TrimLeftFunc(cell, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }))
	if strings.ContainsRune("=+-@＝＋－＠−﹢﹣﹫", first) || strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
