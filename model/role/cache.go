package role

// MetaCache is the metadata of a file with a past that say what a present is: its
// past with the new keys and values appended (CacheConcat, and what a file without
// the key has), or the past itself, one buffer of the context's length that is
// written in place (CacheShared). That of a recurrent network is the state of each layer,
// of the same size for any text (CacheState).
const (
	MetaCache   = "attnx.cache"
	CacheConcat = "concat"
	CacheShared = "shared"
	CacheState  = "state"
)
