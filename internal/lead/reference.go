package lead

import (
	"github.com/google/uuid"
)

// crockford is base 32 without letters that are easily misread.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Reference is the short form of an id that people read to each other, like 7F3K-92QD. It is made of the id's last 40 bits, all
// of them random in a UUIDv7: an aid to memory and search, never proof of anything and not guaranteed unique.
func Reference(id uuid.UUID) string {
	var bits uint64
	for _, b := range id[11:] {
		bits = bits<<8 | uint64(b)
	}
	out := make([]byte, 9)
	for i := 8; i >= 0; i-- {
		if i == 4 {
			out[i] = '-'
			continue
		}
		out[i] = crockford[bits&31]
		bits >>= 5
	}
	return string(out)
}
