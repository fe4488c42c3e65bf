//! Chats to prompts: templates in the styles of well-known models, what was said never becomes a special token, and no template crashes or
//! hangs the program.

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use openelm::text::{ChatTemplate, Jinja, Role, Template, Tokenizer, Turn};
use openelm::{Checkpoint, Error};
use proptest::prelude::*;

/// The demo's, to be changed.
fn tokenizer_json() -> serde_json::Value {
    let checkpoint = Checkpoint::open("demo").unwrap();
    serde_json::from_slice(&checkpoint.tokenizer.unwrap()).unwrap()
}

fn tokenizer() -> Tokenizer {
    let checkpoint = Checkpoint::open("demo").unwrap();
    let vocab = checkpoint.config.vocab_size;
    Tokenizer::from_bytes(
        &checkpoint.tokenizer.unwrap(),
        "tokenizer.json".as_ref(),
        1,
        vocab,
    )
    .unwrap()
}

fn jinja(source: &str) -> Result<ChatTemplate, Error> {
    let tokens = [("bos_token", "<s>"), ("eos_token", "</s>")];
    let tokens: BTreeMap<String, String> =
        tokens.map(|(name, text)| (name.into(), text.into())).into();
    Ok(Jinja::new(Path::new("some/tokenizer_config.json"), source, &tokens)?.into())
}

fn turns(said: &[(Role, &str)]) -> Vec<Turn> {
    said.iter()
        .map(|(role, text)| Turn::new(*role, *text))
        .collect()
}

/// Question, answer, question, behind what the assistant was told.
fn talk() -> Vec<Turn> {
    turns(&[
        (Role::System, "Be brief."),
        (Role::User, " Hi\n"),
        (Role::Assistant, "Hello."),
        (Role::User, "Why?"),
    ])
}

/// In the manner of Zephyr: expressions that join markers, words and the end of text.
const ZEPHYR: &str = "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + message['content'] + eos_token }}\n\
    {% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' + message['content'] + eos_token }}\n{% else %}\n\
    {{ '<|assistant|>\\n' + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n\
    {{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";

/// Of Mistral: slices, refusals, trimmed words.
const MISTRAL: &str = "{%- if messages[0].role == 'system' -%}{%- set told = messages[0].content.strip() + '\\n\\n' -%}\
    {%- set rest = messages[1:] -%}{%- else -%}{%- set told = '' -%}{%- set rest = messages -%}{%- endif -%}{{ bos_token }}\
    {%- for m in rest -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}\
    {{ raise_exception('Roles must alternate, ' ~ m.role ~ ' does not') }}{%- endif -%}\
    {%- if m.role == 'user' -%}{{ '[INST] ' ~ (told if loop.first else '') ~ (m.content | trim) ~ ' [/INST]' }}\
    {%- else -%}{{ ' ' + m.content.strip() + eos_token }}{%- endif -%}{%- endfor -%}";

/// Of ChatML: whitespace control, a system turn by default.
const CHATML: &str = "{%- if not messages or messages[0]['role'] != 'system' %}\n    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}\n\
    {%- endif %}\n{%- for message in messages %}\n    {{- '<|im_start|>' + message.role + '\\n' + message.content.split('</think>')[-1].lstrip('\\n') \
    + '<|im_end|>\\n' }}\n{%- endfor %}\n{%- if add_generation_prompt %}\n    {{- '<|im_start|>assistant\\n' }}\n{%- endif %}\n";

/// Of Llama 3: a date, markers around names of roles, a set variable, loop controls.
const LLAMA3: &str = "{%- if strftime_now is defined %}{%- set date = strftime_now('%d %b %Y') %}{%- endif %}\
    {%- for message in messages %}{%- if message.role == 'tool' %}{% continue %}{% endif %}\
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}{%- endfor %}\
    {%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}";

/// Nothing between what was said: whatever one leaves open another could end.
const CONCATENATED: &str =
    "{% for message in messages %}{{ message.content }}{% endfor %}{{ eos_token }}";

/// The template itself has what is missing on both sides.
const AROUND: &str = "{% for message in messages %}<{{ message.content }}><{{ message.content | trim }}>{% endfor %}";

/// Words that are taken apart and put together again.
const REWRITTEN: &str = "{% for m in messages %}{{ m.content | replace('x', '') | lower }}{{ m.content[::-1] }}{{ m.content | tojson }}\
    {{ m.content.split('x') | join }}{{ m.content | upper | lower }}{{ eos_token }}{% endfor %}";

#[test]
fn templates_in_well_known_styles_give_the_expected_text() {
    let text = |source: &str| jinja(source).unwrap().text(&talk()).unwrap();
    assert_eq!(
        text(ZEPHYR),
        "<|system|>\nBe brief.</s>\n<|user|>\n Hi\n</s>\n<|assistant|>\nHello.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\n"
    );
    assert_eq!(
        text(MISTRAL),
        "<s>[INST] Be brief.\n\nHi [/INST] Hello.</s>[INST] Why? [/INST]"
    );
    assert_eq!(
        text(CHATML),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n Hi\n<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n\
         <|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n"
    );
    assert!(
        text(LLAMA3)
            .starts_with("<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>")
    );
    assert!(
        text(LLAMA3).ends_with("Why?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n")
    );
    assert_eq!(
        ChatTemplate::inst().text(&talk()).unwrap(),
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n Hi\n [/INST] Hello. </s><s>[INST] Why? [/INST]"
    );
}

#[test]
fn an_open_turn_is_continued() {
    let open = turns(&[(Role::User, "Hi"), (Role::Assistant, "Hel")]);
    let zephyr = jinja(ZEPHYR).unwrap();
    assert_eq!(
        zephyr.text(&open).unwrap(),
        "<|user|>\nHi</s>\n<|assistant|>\nHel"
    );
    assert_eq!(
        ChatTemplate::inst().text(&open).unwrap(),
        "<s>[INST] Hi [/INST]Hel"
    );
}

#[test]
fn python_ways_work() {
    for (source, expected) in [
        (
            "{{ ' a '.strip() ~ 'b'.upper() ~ 'a,b'.split(',')[1] }}",
            "aBb",
        ),
        (
            "{{ {'b': [1, none, true], 'a': 'é<'} | tojson }}",
            "{\"b\": [1, null, true], \"a\": \"é<\"}",
        ),
        (
            "{{ {'a': [1]} | tojson(indent=2) }}",
            "{\n  \"a\": [\n    1\n  ]\n}",
        ),
        (
            "{{ messages[0] | tojson(ensure_ascii=False) }}",
            "{\"role\": \"user\", \"content\": \"Hi\"}",
        ),
        (
            "{{ {'b': [1, 'é😀'], 'a': {}} | tojson(separators=(',', ':'), sort_keys=true, ensure_ascii=True) }}",
            r#"{"a":{},"b":[1,"\u00e9\ud83d\ude00"]}"#,
        ),
        (
            "{{ {'a': [[], {'b': 1}]} | tojson(false, 1) }}",
            "{\n \"a\": [\n  [],\n  {\n   \"b\": 1\n  }\n ]\n}",
        ),
        (
            "{{ 'a</t>b'.rsplit('</t>', 1)[-1] ~ 'xy'.removeprefix('x') }}",
            "by",
        ),
        (
            "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
            "01",
        ),
        (
            "{{ tools is none }} {{ nothing is defined }} {{ messages[0].get('name', 'x') }}",
            "True False x",
        ),
        (
            "{% if tools is iterable and tools | length > 0 %}tools{% endif %}{{ 'a' is sequence }} {{ messages[0:] is sequence }} {{ 1 is iterable }}",
            "True True False",
        ),
        (
            "{{ strftime_now is callable }} {{ messages is callable }} {{ nothing is callable }}",
            "True False True",
        ),
        (
            "{{ '' | default('x', boolean=true) }}{{ nothing | d(default_value='y') }}{{ none | default('z', true) }}{{ 'a' | default('b') }}",
            "xyza",
        ),
        (
            "{{ [1, 3, 2] | sort(true) | join }} {{ ['b', 'A'] | sort(case_sensitive=true) | join }}{% for k, v in {'a': 2, 'b': 1} | dictsort(false, 'value') %} {{ k }}{{ v }}{% endfor %}",
            "321 Ab b1 a2",
        ),
        (
            "{% set comma = joiner(', ') %}{% set row = cycler('odd', 'even') %}{% for i in range(3) %}{{ comma() }}{{ row.next() }}{% endfor %}",
            "odd, even, odd",
        ),
        (r"{{ 'a\U0001F600\x41' 'b' ~ '\/' }}", "a😀Ab\\/"),
        (
            "{{ 'x' | int }} {{ '12.7' | int }} {{ none | int(5) }} {{ nothing | int }} {{ '1f' | int(0, 16) }} {{ '' | float }} {{ 'a b  c' | wordcount }}",
            "0 12 5 0 31 0.0 3",
        ),
        ("{{ '&<' }}{{ messages | length }}", "&<1"),
        ("  {% if true %}\n  a\n  {% endif %}\nb\n", "  a\nb"),
        // As Windows saves it, and as old Macs did.
        ("a\r\n{% if true %}\r\nb\r{% endif %}\r\nc", "a\nb\nc"),
        // What transformers marks the assistant's words with.
        (
            "{% for m in messages %}<{%- generation -%} {{ m.content }} {%- endgeneration %}>{% endfor %}",
            "<Hi>",
        ),
        (
            "{% generation %}{% if add_generation_prompt %}a{% endif %}{% endgeneration %}",
            "a",
        ),
    ] {
        let template = jinja(source).unwrap();
        assert_eq!(
            template.text(&turns(&[(Role::User, "Hi")])).unwrap(),
            expected,
            "{source}"
        );
    }
}

/// Each of these was held against Jinja2 3.1.6.
#[test]
fn filters_and_blocks_are_those_of_jinja2() {
    for (source, expected) in [
        (
            "{{ 'a\\nb\\n' | indent(2) }}|{{ '' | indent(2, true) }}|",
            "a\n  b\n|  |",
        ),
        (
            "{{ 'a\\n\\nb' | indent(blank=true, width='> ', first=true) }}",
            "> a\n> \n> b",
        ),
        (
            "{{ \"it's o'neil a,b c\" | wordcount }} {{ 'a_b-c é1' | wordcount }}",
            "7 3",
        ),
        (
            "{{ 'Hello brave new world' | truncate(11) }} {{ 'Hello brave' | truncate(9, killwords=true, end='..', leeway=0) }}",
            "Hello... Hello b..",
        ),
        (
            "{{ 'ab' | truncate(3) }} {{ 'x' | center(4) }}|{{ 'x' | center | length }}",
            "ab  x  |80",
        ),
        (
            "{{ 'a b/ä~&' | urlencode }} {{ {'a b': 'c/d', 'x': 1} | urlencode }}",
            "a%20b/%C3%A4~%26 a+b=c%2Fd&x=1",
        ),
        (
            "{{ [('a', 'ü'), (1, none)] | urlencode }}",
            "a=%C3%BC&1=None",
        ),
        (
            "{{ '<b>a  &amp; b</b> <!-- x <i> -->c <' | striptags }}",
            "a & b c <",
        ),
        (
            "{{ '<\"\\'&>' | e }} {{ '<' | e | e }} {{ '<' | escape | forceescape }}",
            "&lt;&#34;&#39;&amp;&gt; &lt; &amp;lt;",
        ),
        (
            "{% for c in 'xyz' %}{{ c }}{{ loop.length }}{{ loop.revindex }}{{ ',' if not loop.last }}{% endfor %}",
            "x33,y32,z31",
        ),
        (
            "{% for c in \"if in\" if c != ' ' %}{{ c }}{{ loop.last }}{% else %}none{% endfor %}{% for c in '' %}{% else %}none{% endfor %}",
            "iFalsefFalseiFalsenTruenone",
        ),
        (
            "{% for c in [1, [2]] recursive %}{{ c if c is number else loop(c) }}{% endfor %}",
            "12",
        ),
        (
            "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}\
             {%- filter upper -%} {% set a = 'b' %}{{ a }}{% endfilter %}{{ a }}\
             {%- set b | replace('=', '-') %}{% set a = 3 %}={{ a }}{% endset %}{{ a }}{{ b }}",
            "21B11-3",
        ),
        (
            "x{% raw %}\n {{ a }}{% endraw %}\ny{% raw -%}\n{% b %}{% endraw %}",
            "x\n {{ a }}y{% b %}",
        ),
        (
            "{{ 'a\\x1cb\\u2028c\\x85'.splitlines() | join('|') }} {{ '\\x1f a\\x1cb '.split() | join('|') }} {{ '\\x1c a \\x1f' | trim }}",
            "a|b|c a|b a",
        ),
        (
            "{{ 'xxaxx' | trim('x') ~ {'a': 1}.copy().a ~ 'A B'.istitle() ~ 'a\\tb'.expandtabs(2) }}",
            "a1Truea b",
        ),
        (
            "{{ 1e16 }} {{ 1e-5 }} {{ 0.0001 }} {{ 'nan' | float }} {{ -2.5e-10 | string }} {{ [1e-7, 2.0] | tojson }}",
            "1e+16 1e-05 0.0001 nan -2.5e-10 [1e-07, 2.0]",
        ),
        (
            "{{ strftime_now('%Z%z%Q %! 5%%') }} {{ strftime_now(format='%f') | length }}%{{ strftime_now('%-') }}",
            "%Q %! 5% 6%%-",
        ),
        (
            "{% set all = strftime_now('%c|%x|%X|%a %b %e %H:%M:%S %Y|%m/%d/%y|%H:%M:%S').split('|') %}{{ all[:3] == all[3:] }}",
            "True",
        ),
    ] {
        let text = jinja(source).unwrap().text(&turns(&[(Role::User, "Hi")]));
        assert_eq!(text.unwrap(), expected, "{source}");
    }
}

/// Ids of what is said with each template, all special ones.
fn specials(template: &ChatTemplate, turns: &[Turn], tokenizer: &Tokenizer) -> Vec<u32> {
    let prompt = template.prompt(turns, tokenizer).unwrap();
    let ids = tokenizer.encode_chat(&prompt).unwrap();
    ids.into_iter().filter(|id| *id < 3).collect()
}

fn all_templates() -> Vec<ChatTemplate> {
    let jinja = [
        ZEPHYR,
        MISTRAL,
        CHATML,
        LLAMA3,
        CONCATENATED,
        AROUND,
        REWRITTEN,
    ]
    .map(|source| jinja(source).unwrap());
    let parts = Template::built_in().map(ChatTemplate::from);
    parts
        .into_iter()
        .chain(jinja)
        .chain([ChatTemplate::inst()])
        .collect()
}

/// What people type who want to be somebody else.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "</s>",
        "<s>",
        "<unk>",
        "<s>[INST]",
        "<|user|>",
        "<",
        "</",
        "/s",
        "s",
        ">",
        "s>",
        "/s>",
        "x",
        "<x/s>",
        "</S>",
        ">s/<",
        " ",
        "\n",
        "é",
        "[/INST]",
        "<|im_end|>",
        "word",
        "\u{F0000}",
        "\u{F0001}",
        "</think>",
        "{{ eos_token }}",
        "{text}",
        "\\u003c/s>",
    ]);
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        rng_seed: common::seed(11),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_said_never_becomes_a_special_token(
        told in hostile(), asked in hostile(), answered in hostile(), again in hostile(),
    ) {
        thread_local!(static ALL: (Tokenizer, Vec<ChatTemplate>) = (tokenizer(), all_templates()));
        ALL.with(|(tokenizer, templates)| {
            let said = |told: &str, asked: &str, answered: &str, again: &str| turns(&[
                (Role::System, told), (Role::User, asked), (Role::Assistant, answered), (Role::User, again),
            ]);
            let harmless = said("a", "b", "c", "d");
            let said = said(&told, &asked, &answered, &again);
            for template in templates {
                let expected = specials(template, &harmless, tokenizer);
                prop_assert_eq!(specials(template, &said, tokenizer), expected, "{} {:?}", template.name(), said);
                // The text is what the template makes of it, to the byte.
                let prompt = template.prompt(&said, tokenizer).unwrap();
                prop_assert_eq!(prompt.text(), template.text(&said).unwrap());
            }
            Ok(())
        })?;
    }

    /// Where nobody spells anything special, the ids are those of the text.
    #[test]
    fn harmless_words_have_the_ids_of_the_text(asked in "[ -;=?-~\n\u{e9}\u{1f600}]{0,30}", answered in "[ -;=?-~\n]{1,30}") {
        thread_local!(static ALL: (Tokenizer, Vec<ChatTemplate>) = (tokenizer(), [
            Template::instruct().into(), Template::plain().into(), ChatTemplate::inst(), jinja(ZEPHYR).unwrap(), jinja(MISTRAL).unwrap(),
            jinja(CHATML).unwrap(), jinja(CONCATENATED).unwrap(),
        ].into()));
        ALL.with(|(tokenizer, templates)| {
            let said = turns(&[(Role::User, &asked), (Role::Assistant, &answered), (Role::User, "Why?")]);
            for template in templates {
                let ids = tokenizer.encode_chat(&template.prompt(&said, tokenizer).unwrap()).unwrap();
                prop_assert_eq!(ids, tokenizer.encode(&template.text(&said).unwrap()).unwrap(), "{}", template.name());
            }
            Ok(())
        })?;
    }
}

/// A message may be a part of how a special token is spelled, and the template may change or look at it.
#[test]
fn parts_of_special_tokens_are_words_like_others() {
    let tokenizer = tokenizer();
    for source in [
        "{{ bos_token }}{% for m in messages %}{{ m.content | upper }}|{% endfor %}{{ eos_token }}",
        "{{ bos_token }}{% for m in messages %}{% if m.content == 'k' %}K{% else %}{{ m.content }}{% endif %}{% endfor %}{{ eos_token }}",
    ] {
        let template = jinja(source).unwrap();
        let own = specials(&template, &turns(&[(Role::User, "x")]), &tokenizer);
        assert_eq!(own.len(), 2);
        for said in [
            "k", "un", "unk", "/s", "s", "<s>", "</s>", "<unk>", "s>", "</",
        ] {
            let said = turns(&[(Role::User, said)]);
            let prompt = template.prompt(&said, &tokenizer).unwrap();
            assert_eq!(specials(&template, &said, &tokenizer), own, "{said:?}");
            let is_special = said[0].text.starts_with('<') && said[0].text.ends_with('>');
            assert!(
                is_special || prompt.text() == template.text(&said).unwrap(),
                "{said:?}"
            );
        }
    }
}

/// What comes out again is what went in, specials in sight.
#[test]
fn all_that_the_model_is_given_can_be_shown() {
    let tokenizer = tokenizer();
    let template: ChatTemplate = Template::instruct().into();
    let said = turns(&[(Role::User, "Hi </s> there")]);
    let prompt = template.prompt(&said, &tokenizer).unwrap();
    let ids = tokenizer.encode_chat(&prompt).unwrap();
    assert_eq!(
        tokenizer.decode_all(&ids).unwrap(),
        format!("<s>{}", prompt.text())
    );
    assert_eq!(ids.iter().filter(|id| **id == 2).count(), 2);
}

/// Early conversions of Llama's tokenizer say that special tokens are to be normalised, which nobody takes them for.
#[test]
fn special_tokens_are_taken_as_they_are_spelled() {
    let mut json = tokenizer_json();
    for token in json["added_tokens"].as_array_mut().unwrap() {
        assert_eq!(token["normalized"], false);
        token["normalized"] = true.into();
    }
    let bytes = serde_json::to_vec(&json).unwrap();
    let other = Tokenizer::from_bytes(&bytes, "tokenizer.json".as_ref(), 1, 4096).unwrap();
    let usual = tokenizer();
    let template: ChatTemplate = Template::instruct().into();
    let ids = |tokenizer: &Tokenizer| {
        let said = turns(&[(Role::User, "Hi </s> there")]);
        let prompt = template.prompt(&said, tokenizer).unwrap();
        tokenizer.encode_chat(&prompt).unwrap()
    };
    assert_eq!(ids(&other), ids(&usual));
    assert_eq!(other.special(2), usual.special(2));
    for text in ["A king</s>a queen", "<s> Once"] {
        assert_eq!(other.encode(text).unwrap(), usual.encode(text).unwrap());
    }
    let ids = [1, 300, 2, 301];
    assert_eq!(other.decode(&ids).unwrap(), usual.decode(&ids).unwrap());
    assert_eq!(
        other.decode_all(&ids).unwrap(),
        usual.decode_all(&ids).unwrap()
    );
}

/// Each doubles what the one before has made.
#[test]
fn rules_that_fill_the_memory_are_refused() {
    let json = tokenizer_json();
    let double =
        serde_json::json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    for (place, list) in [("normalizer", "normalizers"), ("decoder", "decoders")] {
        let mut json = json.clone();
        json[place] = serde_json::json!({"type": "Sequence", list: vec![&double; 40]});
        let bytes = serde_json::to_vec(&json).unwrap();
        let error = Tokenizer::from_bytes(&bytes, "tokenizer.json".as_ref(), 1, 4096);
        let error = error.err().unwrap().to_string();
        assert!(
            error.contains(place) && error.contains("as long"),
            "{error}"
        );
    }
}

/// Tokens of another tokenizer that begin and end with letters or spaces, and added ones that are not special.
#[test]
fn other_tokenizers_are_no_different() {
    let mut json = tokenizer_json();
    let added = json["added_tokens"].as_array_mut().unwrap();
    for (i, (content, special)) in [("<|user|>", true), ("END", true), ("   ", false)]
        .into_iter()
        .enumerate()
    {
        added.push(serde_json::json!({
            "id": 4096 + i, "content": content, "special": special, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
        }));
    }
    let bytes = serde_json::to_vec(&json).unwrap();
    let tokenizer = Tokenizer::from_bytes(&bytes, "tokenizer.json".as_ref(), 1, 5000).unwrap();
    let template =
        jinja("{% for m in messages %}{{ '<|user|>' ~ m.content | trim ~ 'END' }}{% endfor %}")
            .unwrap();
    let ids = |text: &str| {
        let prompt = template
            .prompt(&turns(&[(Role::User, text)]), &tokenizer)
            .unwrap();
        tokenizer.encode_chat(&prompt).unwrap()
    };
    for text in [
        "<|user|>",
        "END",
        "<|user",
        "EN",
        "ND",
        " END ",
        "THE END",
        "E",
        "a <|user|> b END c",
    ] {
        let ids = ids(text);
        assert_eq!((ids[1], *ids.last().unwrap()), (4096, 4097), "{text}");
        assert_eq!(
            ids.iter().filter(|id| **id >= 4096).count(),
            2,
            "{text}: {ids:?}"
        );
    }
    assert!(
        ids("a   b").contains(&4098),
        "a token that is not special is one wherever it stands"
    );
}

/// What `add_tokens` adds is normalised unless it is told otherwise: Llama's begins it with a sign, so that it is one behind a space only.
#[test]
fn added_tokens_that_are_normalised_are_found_as_the_library_finds_them() {
    let mut json = tokenizer_json();
    let added = json["added_tokens"].as_array_mut().unwrap();
    let tokens = [
        ("<|im_start|>", ""),
        ("<|im_end|>", ""),
        ("<|im_end|>s", ""),
        ("day", "single_word"),
        ("<|left|>", "lstrip"),
        ("<|right|>", "rstrip"),
    ];
    for (i, (content, only)) in tokens.into_iter().enumerate() {
        let mut token = serde_json::json!({
            "id": 4096 + i, "content": content, "special": false, "single_word": false, "lstrip": false, "rstrip": false, "normalized": true,
        });
        if !only.is_empty() {
            token[only] = true.into();
        }
        added.push(token);
    }
    let template = jinja(
        "{% for m in messages %}{{ '<|im_start|>' ~ m.role ~ '\n' ~ m.content ~ ' <|im_end|>\n' }}{% endfor %}",
    )
    .unwrap();
    for normalizer in [json["normalizer"].clone(), serde_json::Value::Null] {
        json["normalizer"] = normalizer;
        let bytes = serde_json::to_vec(&json).unwrap();
        let tokenizer = Tokenizer::from_bytes(&bytes, "tokenizer.json".as_ref(), 1, 5000).unwrap();
        for text in [
            "Hi",
            "two words",
            "a <|im_end|> b",
            " <|im_end|>s",
            "é <|im_start|>",
            "a day, a monday day",
            "day",
            "a   <|left|>  b  <|right|>   c",
            "<|right|>  <|left|> <|left|>",
        ] {
            let said = turns(&[(Role::User, text)]);
            let prompt = template.prompt(&said, &tokenizer).unwrap();
            let ids = tokenizer.encode_chat(&prompt).unwrap();
            assert_eq!(ids, tokenizer.encode(prompt.text()).unwrap(), "{text}");
            assert_eq!(ids[1], 4096, "{text}: {ids:?}");
            assert!(ids.contains(&4097), "{text}: {ids:?}");
        }
    }
}

/// One that the template itself spells, and that takes the spaces behind it: those are signs of its own by then.
#[test]
fn a_normalised_token_of_the_template_takes_no_space_that_the_normaliser_replaces() {
    let mut json = tokenizer_json();
    json["normalizer"] =
        serde_json::json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    json["added_tokens"].as_array_mut().unwrap().push(serde_json::json!({
        "id": 4096, "content": "<|user|>", "special": false, "single_word": false, "lstrip": false, "rstrip": true, "normalized": true,
    }));
    let bytes = serde_json::to_vec(&json).unwrap();
    let tokenizer = Tokenizer::from_bytes(&bytes, "tokenizer.json".as_ref(), 1, 5000).unwrap();
    let template = jinja("{{ '<|user|>' ~ messages[0].content }}").unwrap();
    let prompt = template.prompt(&turns(&[(Role::User, " the")]), &tokenizer);
    let prompt = prompt.unwrap();
    let ids = tokenizer.encode_chat(&prompt).unwrap();
    assert_eq!(ids, tokenizer.encode(prompt.text()).unwrap());
    assert_eq!(tokenizer.decode(&ids[2..]).unwrap().trim(), "the");
    assert_eq!(tokenizer.token(ids[2]).as_deref(), Some("▁the"), "{ids:?}");
}

/// The error of a template that is compiled and run.
fn failure(source: &str) -> (Option<usize>, String) {
    let done = jinja(source).and_then(|template| template.text(&talk()));
    match done {
        Err(error @ Error::ChatTemplate { line, .. }) => (line, error.to_string()),
        other => panic!("{source:.80}: {other:?}"),
    }
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_file_and_line() {
    for (source, line, word) in [
        ("a\n{% if %}", Some(2), "syntax error"),
        ("\n\n{{ nothing() }}", Some(3), "nothing"),
        (
            "{% for m in messages %}\n{{ raise_exception('only ' ~ m.role) }}{% endfor %}",
            Some(2),
            "refuses this conversation: only system",
        ),
        ("{{ messages[9].content }}", Some(1), "undefined"),
        ("{% include 'other' %}", Some(1), "include"),
        ("{{ 'a' | nofilter }}", Some(1), "nofilter"),
        ("{{ strftime_now() }}", Some(1), "format"),
        (
            "{{ raise_exception('\\u001b[31mred') }}",
            Some(1),
            "[31mred",
        ),
    ] {
        let (at, error) = failure(source);
        assert_eq!(at, line, "{error}");
        assert!(error.contains(word), "{error}");
        assert!(
            error.contains("some/tokenizer_config.json") && !error.contains('\u{1b}'),
            "{error}"
        );
    }
}

#[test]
fn no_template_crashes_or_hangs() {
    let doubled = |begin: &str, step: &str, end: &str| {
        format!(
            "{{% set n = namespace(x={begin}) %}}{{% for i in range(99999) %}}{{% set n.x = {step} %}}{{% endfor %}}{end}"
        )
    };
    for source in [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}".to_owned(),
        "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(0) }}".to_owned(),
        doubled("'a'", "n.x ~ n.x", "{{ n.x }}"),
        doubled("'a'", "n.x + n.x", ""),
        doubled("[1]", "[n.x]", "{{ n.x }}"),
        doubled("[1]", "[n.x]", ""),
        "{{ 'a' * 999999999 }}".to_owned(),
        "{% for i in range(9999) %}{{ messages[0].content * 999 }}{% endfor %}".to_owned(),
        "{{ '%99999999d' | format(1) }}".to_owned(),
        "{{ 'a\nb' | indent(99999999999, true) }}".to_owned(),
        "{{ ('a\n' * 99999) | indent('b' * 99999) }}".to_owned(),
        "{{ 'a' | center(99999999999) }}".to_owned(),
        "{{ 'a\tb'.expandtabs(99999999999) }}".to_owned(),
        "{{ strftime_now('%255d' * 999999) }}".to_owned(),
        doubled("'<'", "n.x | forceescape", ""),
        doubled("'<'", "n.x | urlencode", ""),
        doubled("[1]", "[n.x, n.x]", "{{ n.x | indent }}"),
        "{% set n = namespace(x=[1]) %}{% for i in range(50) %}{% set n.x = [n.x, n.x] %}{% endfor %}{{ n.x }}".to_owned(),
        "{% for i in range(9999) %}{% for c in 'a' * 99999 %}{% endfor %}{% endfor %}".to_owned(),
        format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000)),
        format!(
            "{}{}",
            "{% if true %}".repeat(5_000),
            "{% endif %}".repeat(5_000)
        ),
        "{{ 1 }}".repeat(100_000),
    ] {
        failure(&source);
    }
    // Long chains are odd, not wrong.
    for source in [
        format!("{{{{ {}1 }}}}", "1+".repeat(50_000)),
        format!("{{{{ 'a'{} }}}}", "|trim".repeat(20_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(20_000)),
        format!(
            "{{% if false %}}{}{{% endif %}}",
            "{% elif false %}".repeat(7_000)
        ),
    ] {
        jinja(&source).unwrap().text(&talk()).unwrap();
    }
}

/// A question with what followed it goes first; what the assistant was told, and the last question, stay.
#[test]
fn the_oldest_turns_make_room() {
    let tokenizer = tokenizer();
    for template in all_templates() {
        let mut said = turns(&[(Role::System, "Be brief.")]);
        for i in 0..40 {
            said.push(Turn::new(Role::User, format!("Question {i} of the king?")));
            said.push(Turn::new(
                Role::Assistant,
                format!("Answer {i} of the fox."),
            ));
        }
        said.push(Turn::new(Role::User, "Last?"));
        let fit = |context, tokens| template.fit(&said, &tokenizer, context, tokens).unwrap();
        let whole = fit(1 << 20, None);
        assert_eq!(whole.left_out, 0);
        let (mut shorter, context) = (0, whole.ids.len());
        for context in [context, context / 2, context / 4] {
            let fitted = fit(context, None);
            assert!(fitted.ids.len() <= context - context / 4 && fitted.left_out % 2 == 0);
            assert!(fitted.left_out > shorter, "{} {context}", template.name());
            shorter = fitted.left_out;
            let text = tokenizer.decode(&fitted.ids).unwrap();
            assert!(
                text.to_lowercase().contains("be brief") && text.to_lowercase().contains("last?"),
                "{text}"
            );
            // No more than needed: with the question before it does not fit.
            let more = [&said[..1], &said[1 + fitted.left_out - 2..]].concat();
            let more = template.prompt(&more, &tokenizer).unwrap();
            assert!(tokenizer.encode_chat(&more).unwrap().len() > context - context / 4);
        }
        // An answer of a few tokens needs no quarter of the context.
        assert!(fit(context + 1, Some(1)).left_out == 0);
        // One question that is too long stays: whoever generates says so.
        let fitted = fit(2, None);
        assert_eq!(fitted.left_out, 80);
    }
}
