package huggingface

import "github.com/attnx/attnx/model"

// ReadSpecial is what Read does for the special ids and tokens.
func ReadSpecial(path string, vocab int, tokenizer []byte) (*model.Special, error) {
	d, err := openFolder(path)
	if err != nil {
		return nil, err
	}
	defer d.close()
	s, _, err := d.special(config{family: gpt2, vocab: vocab}, tokenizer)
	return s, err
}
func Known() []string { return known() }
