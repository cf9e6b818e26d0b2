package export

// FileWithLimit is File with the size from which weights go to a file of their
// own.
var FileWithLimit = file
