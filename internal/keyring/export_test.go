package keyring

// For tests: where secrets are mounted and how long a command may take are theirs to choose.
var (
	ReadKeyFile   = readKeyFile
	RunKeyCommand = runKeyCommand
)

// WearOut makes the present wrapping key one that has wrapped as much as it may.
func (r *Ring) WearOut() { r.wrapper.Load().uses.Store(wrapperUses) }
