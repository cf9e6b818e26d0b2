// Package huggingface converts Hugging Face folders of GPT-2 models to
// checkpoints, and checkpoints to such folders.
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
// layouts [in, out] on both sides; none is transposed. In files with the head,
// transformers puts "transformer." before the names; the package accepts names
// without this prefix or with another one. It drops the parts that training
// code adds to names (module., _orig_mod.). The head is the token embedding: a
// file may have either or both.
//
// # What is rejected
//
// Folders are untrusted input. JSON must be strict (duplicate names are
// errors) and files have maximum sizes. The files of an index must be regular
// files of the folder itself. No weight is read before all weights have the
// shapes that config.json implies. A configuration of a network other than
// package model's GPT-2 (another activation, a separate head, cross attention)
// is rejected, and the error names the member.
//
// Symbolic links are rejected, except those from a snapshot in Hugging Face's
// cache to the blobs beside it.
package huggingface
