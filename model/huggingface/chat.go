package huggingface

import (
	"github.com/attnx/attnx/model"
)

// chatTemplate returns the chat template of a folder: chat_template.jinja, or the
// member of tokenizer_config.json, as transformers does. Of a list of named ones it
// takes the one named default.
func (d *folder) chatTemplate() (text string, err error) {
	if d.has(chatTemplateName) {
		b, err := d.read(chatTemplateName, maxConfig)
		if err == nil {
			err = model.CheckTemplate(string(b))
		}
		if err != nil {
			return "", err
		}
		return string(b), nil
	}
	about, err := d.object(tokenizerConfigName, maxTokenizerConfig)
	if err != nil || about.null("chat_template") {
		return "", err
	}
	value := about["chat_template"]
	if value.Kind() == '[' {
		list, err := elements(value)
		if err != nil {
			return "", d.errorf(tokenizerConfigName, "chat_template: %w", err)
		}
		value = nil
		for _, v := range list {
			o, err := parseObject(v)
			if err != nil {
				return "", d.errorf(tokenizerConfigName, "chat_template: %w", err)
			}
			if name, err := o.text("name", ""); err == nil && name == "default" {
				value = o["template"]
			}
		}
		if value == nil {
			return "", nil
		}
	}
	if text, err = unquote(value); err == nil {
		err = model.CheckTemplate(text)
	}
	if err != nil {
		return "", d.errorf(tokenizerConfigName, "chat_template: %w", err)
	}
	return text, nil
}
