package hclconfig

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Bounds of a file. HCL has none of its own: 100,000 brackets overflow the
// stack, which no recover helps against, and `"${1e99999999}"` asks for a
// string of 100 MB. A running supervisor reads files too, on SIGHUP, and must
// survive each of them.
const (
	maxFile    = 4 << 20 // bytes; the lexer takes up to 120 for one of them
	maxNesting = 400     // brackets, blocks and operators inside of each other; 10 KB of stack each
	maxName    = 256     // bytes of an identifier
	maxDigits  = 100     // bytes of a number; parsing is quadratic
	maxHeredoc = 1000    // lines of a heredoc; parsing is quadratic
	maxBits    = 4096    // of the binary exponent of a number
	maxWork    = 2e6     // steps to evaluate a configuration, see meter
	maxFiles   = 1000    // that a configuration is made of
	maxEntries = 10_000  // of directories that are looked through for them
	maxLocals  = 10_000  // they are walked by a recursion
	maxDetail  = 4096    // bytes of one fault's text: a function's may quote all it was given
)

// checkText refuses what is not text at all, so that a binary file gives one
// fault and costs nothing.
func checkText(src []byte, filename string) *hcl.Diagnostic {
	at := bytes.IndexByte(src, 0)
	what := "There is a NUL byte here: this is no text file."
	if at < 0 && !utf8.Valid(src) {
		at, what = 0, "The file must be UTF-8, and this is not."
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
	return fault(&hcl.Range{Filename: filename, Start: pos, End: hcl.Pos{Line: line, Column: column + 1, Byte: at + 1}}, "Not a text file", "%s", what)
}

// checkShape bounds what the parser will recurse into. It counts, for every
// token, the brackets that are open and the operators of the expressions
// around it, which is at least the depth of the recursion.
func checkShape(src []byte, filename string) *hcl.Diagnostic {
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos) // the parser reports them again
	return checkTokens(tokens)
}

func checkTokens(tokens hclsyntax.Tokens) *hcl.Diagnostic {
	type level struct {
		operators, lines int
		newlines         bool // a newline ends an expression here
	}
	levels := []level{{newlines: true}}
	operators := 0
	var previous hclsyntax.TokenType
	for i, token := range tokens {
		top := &levels[len(levels)-1]
		switch token.Type {
		case hclsyntax.TokenOBrace:
			loop := i+1 < len(tokens) && string(tokens[i+1].Bytes) == "for"
			levels = append(levels, level{newlines: !loop})
		case hclsyntax.TokenOBrack:
			if endsOperand(previous) { // an index, which is an operator: a[0][0] is one in the other
				top.operators++
				operators++
			}
			levels = append(levels, level{})
		case hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp:
			levels = append(levels, level{})
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			if len(levels) > 1 {
				operators -= top.operators
				levels = levels[:len(levels)-1]
			}
		case hclsyntax.TokenTemplateControl: // an if is open until its endif: the level around counts it
			top.operators++
			operators++
			levels = append(levels, level{})
		case hclsyntax.TokenComma:
			operators -= top.operators
			top.operators = 0
		case hclsyntax.TokenNewline:
			if top.newlines && !isOperator(previous) {
				operators -= top.operators
				top.operators = 0
			}
		case hclsyntax.TokenStringLit:
			top.lines++
		default:
			if isOperator(token.Type) {
				top.operators++
				operators++
			}
		}
		if token.Type != hclsyntax.TokenComment {
			previous = token.Type
		}
		switch {
		case len(levels)+operators > maxNesting:
			return fault(&token.Range, "Nested too deeply", "More than %d brackets, blocks and operators are open here.", maxNesting)
		case levels[len(levels)-1].lines > maxHeredoc:
			return fault(&token.Range, "Text too long", "A heredoc may have %d lines; keep more in a file of its own.", maxHeredoc)
		case token.Type == hclsyntax.TokenIdent && len(token.Bytes) > maxName:
			return fault(&token.Range, "Name too long", "A name may have %d bytes.", maxName)
		case token.Type == hclsyntax.TokenNumberLit && len(token.Bytes) > maxDigits:
			return fault(&token.Range, "Number too long", "A number may have %d characters.", maxDigits)
		}
	}
	return nil
}

func endsOperand(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenIdent, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCBrace, hclsyntax.TokenCQuote, hclsyntax.TokenStar, hclsyntax.TokenNumberLit:
		return true
	}
	return false
}

func isOperator(t hclsyntax.TokenType) bool {
	switch t {
	case hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPlus, hclsyntax.TokenMinus, hclsyntax.TokenPercent,
		hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
		hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
		hclsyntax.TokenBang, hclsyntax.TokenDot, hclsyntax.TokenQuestion, hclsyntax.TokenColon, hclsyntax.TokenFatArrow:
		return true
	}
	return false
}

var errEnormous = errors.New("the numbers are too large")

// bounded is an operation on numbers that refuses enormous ones: cty writes a
// number with all its digits, and takes a remainder by way of a whole one.
func bounded(op *hclsyntax.Operation) *hclsyntax.Operation {
	switch op {
	case hclsyntax.OpAdd, hclsyntax.OpSubtract, hclsyntax.OpMultiply, hclsyntax.OpDivide, hclsyntax.OpModulo, hclsyntax.OpNegate:
	default:
		return op
	}
	impl := op.Impl
	return &hclsyntax.Operation{Type: op.Type, Impl: function.New(&function.Spec{
		Params: impl.Params(),
		Type:   function.StaticReturnType(op.Type),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, arg := range args {
				if enormous(arg) {
					return cty.NilVal, errEnormous
				}
			}
			v, err := impl.Call(args)
			if err == nil && enormous(v) {
				return cty.NilVal, errEnormous
			}
			return v, err
		},
	})}
}

func enormous(v cty.Value) bool {
	if v.IsNull() || !v.IsKnown() || v.Type() != cty.Number {
		return false
	}
	f := v.AsBigFloat()
	exponent := f.MantExp(nil)
	return exponent > maxBits || exponent < -maxBits
}

func doubleKeys(object *hclsyntax.ObjectConsExpr) hcl.Diagnostics {
	var diags hcl.Diagnostics
	lines := map[string]int{}
	for _, item := range object.Items {
		name, ok := literalKey(item.KeyExpr)
		if !ok {
			continue
		}
		place := item.KeyExpr.Range()
		if line, double := lines[name]; double {
			diags = diags.Append(fault(&place, "Duplicate key", "%s was already given in line %d.", quote(name), line))
			continue
		}
		lines[name] = place.Start.Line
	}
	return diags
}

func literalKey(expr hclsyntax.Expression) (string, bool) {
	if key, ok := expr.(*hclsyntax.ObjectConsKeyExpr); ok {
		if name := hcl.ExprAsKeyword(key); name != "" {
			return name, true
		}
		expr = key.Wrapped
	}
	if text, ok := expr.(*hclsyntax.TemplateExpr); ok && text.IsStringLiteral() {
		v, diags := text.Value(nil)
		if !diags.HasErrors() && v.Type() == cty.String {
			return v.AsString(), true
		}
	}
	return "", false
}
