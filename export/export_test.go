package export

// What the tests of package export_test reach for.
var (
	// FileWithLimit is File with the size from which weights go to a file of their own.
	FileWithLimit = file
	// Flatten returns the graph of the flat profile, which the oracle can run.
	Flatten = flatten
)
