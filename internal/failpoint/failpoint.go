// Package failpoint names the places at which tests kill the product: At(p) ends the process there, as kill -9 would, when the point is
// armed. It does so only in a binary built with the tag failpoint; in every other build its functions are empty and the compiler removes
// the calls, the names with them (TestFailpoint_CostsTheProductNothing).
//
// A tagged binary is armed through a pipe that whoever starts it hands over, never by a setting: the environment variable
// FAILPOINT_PIPE holds the number of the inherited file. Each line is one order: "kill K2 3" (die at the third pass from now), "hold D0"
// (whoever comes there waits), "on ack_early" (behave wrongly, to show that a test notices), "clear".
//
// It assumes nothing and imports nothing of ours; all packages may use it. internal/torture is what arms it.
package failpoint

// Point is a place in the code, numbered along a lead's way from the visitor to the CRM.
type Point string

// The points on the way of a lead.
const (
	Read      Point = "K0"  // the request has been read, nothing has looked at it
	Validated Point = "K1"  // it is a valid submission, in memory only
	Sending   Point = "K2"  // half of the commit statement is on the wire: the server holds an unfinished message
	Amending  Point = "K2a" // a correction is written inside its transaction, which has not committed
	Sent      Point = "K3"  // all of the commit statement is on the wire, its answer is unknown
	Stored    Point = "K4"  // committed, and the visitor has no answer
	Amended   Point = "K4a" // a correction is committed, and the visitor has no answer
	Answered  Point = "K5"  // the visitor has the answer; hold Dispatching to have dispatch not even begun
	Called    Point = "K6"  // the CRM has the request, its answer is out
	Replied   Point = "K7"  // the CRM has answered, the result is in memory only
	Recorded  Point = "K8"  // the result is committed, nobody has been told
)

// The points inside dispatch.
const (
	Dispatching Point = "D0" // a round is about to begin
	Placing     Point = "D1" // offers and deliveries are written inside the transaction, which has not committed
	Placed      Point = "D2" // they are committed, the CRM has not been called
)

// The points of the spool, which keeps submissions while the database is away.
const (
	Spooling  Point = "S0" // nothing of it is in the spool
	Written   Point = "S1" // it is in the file, perhaps not on the disk
	Kept      Point = "S2" // it is on the disk, and the visitor has not been told
	Unspooled Point = "S3" // it is in the database, and in the spool still
)

// AckEarly is no place but a wrong behaviour: intake answers before it has committed. A harness that does not notice proves nothing.
const AckEarly Point = "ack_early"
