// Package huggingface converts Hugging Face folders of language models to
// checkpoints, and checkpoints to such folders. family.go has the table of the
// architectures.
//
// A folder is what save_pretrained of the library transformers writes:
//
//	config.json                   the sizes of the network
//	model.safetensors             its weights in one file, or
//	model.safetensors.index.json  the names of weights, each with the file of
//	                              the folder that holds it
//	tokenizer.json                the tokenizer; optional
//	generation_config.json        the ids that end, begin and pad texts; takes
//	                              precedence over config.json; optional
//	tokenizer_config.json         the tokens for the same purposes, and
//	special_tokens_map.json       in older folders, taking precedence; optional
//
// The package opens no other file of a folder. Weights have the same names and
// layouts on both sides; none is transposed. In files with the head, transformers
// puts a prefix before the names of the other weights ("transformer.", "model.");
// the package accepts names without this prefix or with another one. It drops the
// parts that training code adds to names (module., _orig_mod.). Where
// tie_word_embeddings makes the head the token embedding, a file may have either
// or both.
//
// # What is rejected
//
// Folders are untrusted input. JSON must be strict (duplicate names are
// errors) and files have maximum sizes. The files of an index must be regular
// files of the folder itself. No weight is read before all weights have the
// shapes that config.json implies. A configuration that selects a network which
// attnx does not have is rejected, and the error names the member.
//
// Symbolic links are rejected, except those from a snapshot in Hugging Face's
// cache to the blobs beside it.
package huggingface
