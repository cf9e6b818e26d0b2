package role

// MetaCache is the metadata of a file with a past that say what a present is: its
// past with the new keys and values appended (CacheConcat, and what a file without
// the key has), or the past itself, one buffer of the context's length that is
// written in place (CacheShared).
const (
	MetaCache   = "attnx.cache"
	CacheConcat = "concat"
	CacheShared = "shared"
)
