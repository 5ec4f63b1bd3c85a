//! Forms of JSON, after the grammar of RFC 8259 and the cases that JSONTestSuite (Nicolas Seriot) made known: what no parser
//! may take, what every parser must, and what each may decide for itself.

/// What no parser may take.
#[rustfmt::skip]
pub const INVALID: &[&[u8]] = &[
    // Arrays.
    b"[1 true]", b"[a\xe5]", b"[\"\": 1]", b"[\"\"],", b"[,1]", b"[1,,2]", b"[\"x\",,]", b"[\"x\"]]", b"[\"\",]", b"[\"x\"", b"[x",
    b"[3[4]]", b"[\xff]", b"[1:2]", b"[,]", b"[-]", b"[   , \"\"]", b"[\"a\",\n4\n,1,", b"[1,]", b"[1,,]", b"[\"\x0ba\"\\f]", b"[*]",
    b"[\"\"", b"[1,", b"[1,\n1\n,1", b"[{}", b"[fals]", b"[nul]", b"[tru]",
    // Numbers.
    b"123\0", b"[++1234]", b"[+1]", b"[+Inf]", b"[-01]", b"[-1.0.]", b"[-2.]", b"[-NaN]", b"[.-1]", b"[.2e-3]", b"[0.1.2]",
    b"[0.3e+]", b"[0.3e]", b"[0.e1]", b"[0E+]", b"[0E]", b"[0e+]", b"[0e]", b"[1.0e+]", b"[1.0e-]", b"[1.0e]", b"[1 000.0]",
    b"[1eE2]", b"[2.e+3]", b"[2.e-3]", b"[2.e3]", b"[9.e+]", b"[Inf]", b"[NaN]", b"[\xef\xbc\x91]", b"[1+2]", b"[0x1]", b"[0x42]",
    b"[Infinity]", b"[0e+-1]", b"[-123.123foo]", b"[123\xe5]", b"[1e1\xe5]", b"[0\xe5]", b"[-Infinity]", b"[-foo]", b"[- 1]",
    b"[-012]", b"[-.123]", b"[-1x]", b"[1ea]", b"[1e\xe5]", b"[1.]", b"[.123]", b"[1.2a-3]", b"[1.8011670033376514H-308]", b"[012]",
    // Objects.
    b"[\"x\", truth]", b"{[: \"x\"}\n", b"{\"x\", null}", b"{\"x\"::\"b\"}", b"{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}",
    b"{\"a\":\"a\" 123}", b"{key: 'value'}", b"{\"\xb9\":\"0\",}", b"{\"a\" b}", b"{:\"b\"}", b"{\"a\" \"b\"}", b"{\"a\":", b"{\"a\"",
    b"{1:1}", b"{9999E9999:1}", b"{null:null,null:null}", b"{\"id\":0,,,,,}", b"{'a':0}", b"{\"id\":0,}", b"{\"a\":\"b\"}/**/",
    b"{\"a\":\"b\"}/**//", b"{\"a\":\"b\"}//", b"{\"a\":\"b\"}/", b"{\"a\":\"b\",,\"c\":\"d\"}", b"{a: \"b\"}", b"{\"a\":\"a",
    b"{ \"foo\" : \"bar\", \"a\" }", b"{\"a\":\"b\"}#",
    // Strings.
    b" ", b"[\"\\uD800\\\"]", b"[\"\\uD800\\u\"]", b"[\"\\uD800\\u1\"]", b"[\"\\uD800\\u1x\"]", b"[\xc3\xa9]", b"[\"\\\0\"]",
    b"[\"\\x00\"]", b"[\"\\\\\\\"]", b"[\"\\\t\"]", b"[\"\\\xf0\x9f\x8c\x80\"]", b"[\"\\\"]", b"[\"\\u00A\"]", b"[\"\\uD834\\uDd\"]",
    b"[\"\\uD800\\uD800\\x\"]", b"[\"\\u\xe5\"]", b"[\"\\a\"]", b"[\"\\uqqqq\"]", b"[\"\\\xe5\"]", b"[\\u0020\"asd\"]", b"[\\n]", b"\"",
    b"['single quote']", b"abc", b"[\"\\", b"[\"a\0a\"]", b"[\"new\nline\"]", b"[\"\t\"]", b"\"\\UA66D\"", b"\"\"x",
    // The whole.
    b"[\xe2\x81\xa0]", b"\xef\xbb\xbf", b"<.>", b"[<null>]", b"[1]x", b"[1]]", b"[\"asd]", b"a\xc3\xa5", b"[True]", b"1]",
    b"{\"x\": true,", b"[][]", b"]", b"\xef\xbb{}", b"\xe5", b"[", b"", b"[\0]", b"2@", b"{}}", b"{\"\":",
    b"{\"a\":/*comment*/\"b\"}", b"{\"a\": true} \"x\"", b"['", b"[,", b"[{", b"[\"a", b"[\"a\"", b"{", b"{]", b"{,", b"{[", b"{\"a",
    b"{'a'", b"[\"\\{[\"\\{[\"\\{[\"\\{", b"\xe9", b"*", b"{\"a\":\"b\"}#{}", b"[\\u000A\"\"]", b"[1", b"[ false, nul", b"[ true, fals",
    b"[ false, tru", b"{\"asd\":\"asd\"", b"\xc3\xa5", b"\xe2\x81\xa0", b"[\x0c]",
    // And more of the same kind.
    b"undefined", b"{\"a\":undefined}", b"[1]\0", b"\0[1]", b"{\"a\":1}{\"a\":2}", b"{\"a\":1 \"b\":2}", b"[\"\x7f\x1f\"]", b"\"\x01\"",
    b"{\"a\":01}", b"{\"a\":+1}", b"{\"a\":.5}", b"{\"a\":TRUE}", b"{\"a\":nil}", b"\xfe\xff\0{\0}", b"\xff\xfe{\0}\0", b"{\"\\u12\":1}",
    b"{\"message\":\"\xc0\xaf\"}", b"{\"message\":\"\xed\xa0\x80\"}", b"{\"message\":\"\xf4\x90\x80\x80\"}", b"--1", b"1e", b"0b1", b"1_000",
];

/// What every parser must take. None of it is what any route asks for.
#[rustfmt::skip]
pub const VALID: &[&[u8]] = &[
    b"[[]   ]", b"[\"\"]", b"[]", b"[\"a\"]", b"[false]", b"[null, 1, \"1\", {}]", b"[null]", b"[1\n]", b" [1]", b"[1,null,null,null,2]",
    b"[2] ", b"[123e65]", b"[0e+1]", b"[0e1]", b"[ 4]", b"[-0.000000000000000000000000000000000000000000000000000000000000001]",
    b"[20e1]", b"[-0]", b"[-123]", b"[-1]", b"[1E22]", b"[1E-2]", b"[1E+2]", b"[123e45]", b"[123.456e78]", b"[1e-2]", b"[1e+2]", b"[123]",
    b"[123.456789]", b"{\"asd\":\"sdf\", \"dfg\":\"fgh\"}", b"{\"asd\":\"sdf\"}", b"{}", b"{\"\":0}", b"{\"foo\\u0000bar\": 42}",
    b"{ \"min\": -1.0e+28, \"max\": 1.0e+28 }", b"{\"a\":[]}", b"{\n\"a\": \"b\"\n}", b"[\"\\u0060\\u012a\\u12AB\"]", b"[\"\\uD801\\udc37\"]",
    b"[\"\\ud83d\\ude39\\ud83d\\udc8d\"]", b"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", b"[\"\\\\u0000\"]", b"[\"\\\"\"]", b"[\"a/*b*/c/*d//e\"]",
    b"[\"\\\\a\"]", b"[\"\\\\n\"]", b"[\"\\u0012\"]", b"[\"\\uFFFF\"]", b"[ \"asd\"]", b"[\"\xf4\x8f\xbf\xbf\"]", b"[\"\xef\xbf\xbf\"]",
    b"[\"\\u0000\"]", b"[\"\\u002c\"]", b"[\"\xcf\x80\"]", b"[\"\xf0\x9b\xbf\xbf\"]", b"[\"asd \"]", b"\" \"", b"[\"\\uD834\\uDd1e\"]",
    b"[\"\\u0821\"]", b"[\"\xe2\x80\xa8\"]", b"[\"\xe2\x80\xa9\"]", b"[\"\\u0061\\u30af\\u30EA\\u30b9\"]", b"[\"new\\u000Aline\"]", b"[\"\x7f\"]",
    b"[\"\\uA66D\"]", b"[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]", b"[\"\\uDBFF\\uDFFE\"]", b"[\"\\u200B\"]", b"[\"\\uFDD0\"]",
    b"[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]", b"[\"a\x7fa\"]", b"false", b"42", b"-0.1", b"null", b"\"asd\"", b"true", b"\"\"", b"[\"a\"]\n",
    b"[true]", b" [] ", b"\r\n[]\t",
];

/// What each parser may decide for itself: numbers out of range, lone surrogates, a mark of the order of bytes, names given twice.
#[rustfmt::skip]
pub const EITHER: &[&[u8]] = &[
    b"[123.456e-789]", b"[0.4e00669999999999999999999999999999999999999999999999999969999999006]", b"[-1e+9999]", b"[1.5e+9999]",
    b"[-123123e100000]", b"[123123e100000]", b"[123123123123123123123123123123]", b"[100000000000000000000]", b"[-237462374673276894279832749832423479823246327846]",
    b"{\"\\uDFAA\":0}", b"[\"\\uDADA\"]", b"[\"\\uD888\\u1234\"]", b"[\"\\uD800\\n\"]", b"[\"\\uDd1ea\"]", b"[\"\\uD800\\uD800\\n\"]", b"[\"\\ud800\"]",
    b"[\"\\ud800abc\"]", b"[\"\\uDd1e\\uD834\"]", b"[\"\\uDFAA\"]", b"[\"\xe6\x97\xa5\xd1\x88\xfa\"]", b"[\"\xff\"]", b"[\"\xe0\xff\"]", b"[\"\xfc\x83\xbf\xbf\xbf\xbf\"]",
    b"[\"\x81\"]", b"[\"\xf4\xbf\xbf\xbf\"]", b"[\"\xe9\"]", b"\xff\xfe[\0\"\0\xe9\0\"\0]\0", b"\xef\xbb\xbf{}", b"{\"a\":\"b\",\"a\":\"c\"}", b"{\"a\":\"b\",\"a\":\"b\"}",
];
