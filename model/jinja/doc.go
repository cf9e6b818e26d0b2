// Package jinja renders the chat templates of models: Jinja as transformers sets
// it up, with the operators, filters, tests and methods that templates use
// (jinja.palletsprojects.com, version 3.1; transformers, apply_chat_template).
//
// A template comes with a model from a stranger. It cannot reach files, networks
// or Go: it sees the values that it is given and nothing else. Include, import and
// extends are refused. Steps, memory and depth are bounded, so every template ends.
package jinja
