package jinja

import (
	"strings"
	"testing"
)

// What Jinja has and this package has not is refused by its name.
func TestRefusedByName(t *testing.T) {
	for template, want := range map[string]string{
		"{{ 'a'.encode() }}":       `the method "encode" is not supported here`,
		"{{ 'a'|urlize }}":         `the filter "urlize" is not supported`,
		"{{ 'a'|striptags }}":      `the filter "striptags" is not supported`,
		"{{ [1]|random }}":         `the filter "random" is not supported`,
		"{{ [1]|pprint }}":         `the filter "pprint" is not supported`,
		"{% block a %}":            "block leads to other files",
		"{{ '%#g' % 1.5 }}":        "%g of a number",
		"{{ '{:09,}'.format(1) }}": "zeros with separators are not supported",
	} {
		p, err := Parse(template)
		if err == nil {
			_, err = p.Run(nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", template, err, want)
		}
	}
}
