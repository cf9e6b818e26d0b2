package huggingface

import "github.com/attnx/attnx/model"

// ReadSpecial is what Read does for the special ids and tokens.
func ReadSpecial(path string, vocab int, tokenizer []byte) (*model.Special, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	s, _, err := d.special(network{Arch: gpt2, Vocab: vocab}, tokenizer)
	return s, err
}
