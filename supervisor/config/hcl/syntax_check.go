package hclconfig

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// checkText checks that a file is text, so that a binary file has only one fault.
func checkText(src []byte, filename string) *hcl.Diagnostic {
	at := bytes.IndexByte(src, 0)
	what := "The file contains a NUL byte, so it is not a text file."
	if bytes.HasPrefix(src, []byte("\xff\xfe")) || bytes.HasPrefix(src, []byte("\xfe\xff")) {
		at, what = 0, "The file is UTF-16. Save it as UTF-8."
	}
	if at < 0 && !utf8.Valid(src) {
		at, what = 0, "The file must be UTF-8. This byte is not."
		for at < len(src) {
			r, size := utf8.DecodeRune(src[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
	}
	if at < 0 {
		return nil
	}
	line := bytes.Count(src[:at], []byte("\n")) + 1
	column := utf8.RuneCount(src[bytes.LastIndexByte(src[:at], '\n')+1:at]) + 1
	pos := hcl.Pos{Line: line, Column: column, Byte: at}
	end := hcl.Pos{Line: line, Column: column + 1, Byte: at + 1}
	return fault(&hcl.Range{Filename: filename, Start: pos, End: end}, "Not a text file", "%s",
		what)
}

// countTokens returns the number of words and symbols in a file: at least the number of tokens of
// the lexer, which reads a whole file into 100 bytes of memory for each token. In a line that
// begins as a comment only templates count, because the line can be part of a heredoc.
func countTokens(src []byte) (n int) {
	for line := range bytes.Lines(src) {
		n++
		text := bytes.TrimLeft(line, " \t")
		if bytes.HasPrefix(text, []byte("#")) || bytes.HasPrefix(text, []byte("//")) {
			if bytes.IndexByte(text, '{') < 0 {
				continue
			}
		}
		inWord := false
		for _, c := range text {
			switch {
			case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
				c == '_' || c == '-' || c >= utf8.RuneSelf:
				if !inWord {
					n++
				}
				inWord = true
				continue
			case c != ' ' && c != '\t' && c != '\n':
				n++
			}
			inWord = false
		}
	}
	return n
}

// checkShape bounds the recursion of the parser. For each token it counts the open brackets and the
// operators of the expressions around it. The depth of the recursion is at most this number.
func checkShape(src []byte, filename string) *hcl.Diagnostic {
	// The parser reports the faults of the lexer again.
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	return checkTokens(tokens)
}

// checkTokens bounds the recursion of HCL's parser, and the lengths of tokens.
func checkTokens(tokens hclsyntax.Tokens) *hcl.Diagnostic {
	n := nesting{levels: []level{{newlines: true}}}
	for i, token := range tokens {
		var next *hclsyntax.Token
		if i+1 < len(tokens) {
			next = &tokens[i+1]
		}
		n.add(token, next)
		switch {
		case len(n.levels)+n.operators > maxNesting:
			return fault(&token.Range, "Nested too deeply",
				"More than %d brackets, blocks and operators are nested here.", maxNesting)
		case n.top().lines > maxHeredoc:
			return fault(&token.Range, "Heredoc too long",
				"A heredoc must have at most %d lines. Use a file for a longer string.", maxHeredoc)
		case token.Type == hclsyntax.TokenIdent && len(token.Bytes) > maxName:
			return fault(&token.Range, "Name too long",
				"A name must have at most %d bytes.", maxName)
		case token.Type == hclsyntax.TokenNumberLit && len(token.Bytes) > maxDigits:
			return fault(&token.Range, "Number too long",
				"A number must have at most %d characters.", maxDigits)
		}
	}
	return nil
}

// level is an open bracket, block, string or template.
type level struct {
	operators int  // of the current expression
	lines     int  // of a heredoc
	newlines  bool // a newline ends an expression here
}

// nesting is the nesting of the parser at a token.
type nesting struct {
	levels    []level
	operators int // of all levels
	previous  hclsyntax.TokenType
}

func (n *nesting) top() *level { return &n.levels[len(n.levels)-1] }

func (n *nesting) open(l level) { n.levels = append(n.levels, l) }

func (n *nesting) addOperator() {
	n.top().operators++
	n.operators++
}

func (n *nesting) endExpression() {
	n.operators -= n.top().operators
	n.top().operators = 0
}

// add adds a token. next is nil at the end of the file.
func (n *nesting) add(token hclsyntax.Token, next *hclsyntax.Token) {
	switch token.Type {
	case hclsyntax.TokenOBrace:
		loop := next != nil && string(next.Bytes) == "for"
		n.open(level{newlines: !loop})
	case hclsyntax.TokenOBrack:
		if endsOperand(n.previous) { // an index is an operator, and a[0][0] nests two of them
			n.addOperator()
		}
		n.open(level{})
	case hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
		hclsyntax.TokenTemplateInterp:
		n.open(level{})
	case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
		hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
		if len(n.levels) > 1 {
			n.endExpression()
			n.levels = n.levels[:len(n.levels)-1]
		}
	case hclsyntax.TokenTemplateControl: // an if is open until its endif, in the outer level
		n.addOperator()
		n.open(level{})
	case hclsyntax.TokenComma:
		n.endExpression()
	case hclsyntax.TokenNewline:
		if n.top().newlines && !isOperator(n.previous) {
			n.endExpression()
		}
	case hclsyntax.TokenStringLit:
		n.top().lines++
	default:
		if isOperator(token.Type) {
			n.addOperator()
		}
	}
	if token.Type != hclsyntax.TokenComment {
		n.previous = token.Type
	}
}

func endsOperand(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenIdent, hclsyntax.TokenCBrack, hclsyntax.TokenCParen,
		hclsyntax.TokenCBrace, hclsyntax.TokenCQuote, hclsyntax.TokenStar,
		hclsyntax.TokenNumberLit:
		return true
	}
	return false
}

func isOperator(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus,
		hclsyntax.TokenPercent, hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual,
		hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan,
		hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenBang,
		hclsyntax.TokenDot, hclsyntax.TokenQuestion, hclsyntax.TokenColon,
		hclsyntax.TokenFatArrow:
		return true
	}
	return false
}

func isJSON(filename string) bool { return strings.HasSuffix(filename, ".json") }

// checkJSON bounds the recursion of HCL's JSON parser, and the length of numbers.
func checkJSON(src []byte, filename string) *hcl.Diagnostic {
	refuse := func(at int, summary, detail string, limit int) *hcl.Diagnostic {
		pos := position(src, at)
		end := hcl.Pos{Line: pos.Line, Column: pos.Column + 1, Byte: at + 1}
		return fault(&hcl.Range{Filename: filename, Start: pos, End: end}, summary, detail, limit)
	}
	depth, number, quoted := 0, 0, false
	for i := 0; i < len(src); i++ {
		c := src[i]
		if quoted {
			if c == '\\' {
				i++
			}
			quoted = c != '"'
			continue
		}
		if c >= '0' && c <= '9' || strings.IndexByte("+-.eE", c) >= 0 {
			number++
		} else {
			number = 0
		}
		switch c {
		case '"':
			quoted = true
		case '[', '{':
			depth++
		case ']', '}':
			depth--
		}
		if depth > maxNesting {
			return refuse(i, "Nested too deeply", "More than %d brackets are nested here.",
				maxNesting)
		}
		if number > maxDigits {
			return refuse(i, "Number too long", "A number must have at most %d characters.",
				maxDigits)
		}
	}
	return nil
}

func position(src []byte, at int) hcl.Pos {
	return hcl.Pos{
		Line:   bytes.Count(src[:at], []byte("\n")) + 1,
		Column: utf8.RuneCount(src[bytes.LastIndexByte(src[:at], '\n')+1:at]) + 1,
		Byte:   at,
	}
}
