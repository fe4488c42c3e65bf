//! Added tokens that are normalised before they are looked for: what the library does behind its normaliser, for texts that it is not given
//! whole. `add_tokens` makes such tokens unless it is told otherwise.

use aho_corasick::{AhoCorasick, MatchKind};
use tokenizers::normalizer::Range;
use tokenizers::{AddedToken, NormalizedString, Normalizer, Token, Tokenizer};

/// A piece of a text, with the token that it is, if it is one.
type Piece = (NormalizedString, Option<Vec<Token>>);

/// The tokens, and what finds them.
pub struct NormalizedTokens {
    finder: AhoCorasick,
    /// In the order of the finder's patterns.
    tokens: Vec<(u32, AddedToken)>,
}

impl NormalizedTokens {
    /// Those of a tokenizer; `None` where there are none.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub fn of(tokenizer: &Tokenizer) -> Result<Option<Self>, String> {
        let (mut spelled, mut tokens) = (Vec::new(), Vec::new());
        for (id, token) in tokenizer.get_added_tokens_decoder() {
            if token.normalized && !token.content.is_empty() {
                let mut content = NormalizedString::from(token.content.as_str());
                if let Some(normalizer) = tokenizer.get_normalizer() {
                    let done = normalizer.normalize(&mut content);
                    done.map_err(|error| format!("token `{}`: {error}", token.content))?;
                }
                spelled.push(content.get().to_owned());
                tokens.push((id, token));
            }
        }
        if spelled.iter().all(String::is_empty) {
            return Ok(None);
        }
        let mut builder = AhoCorasick::builder();
        let finder = builder
            .match_kind(MatchKind::LeftmostLongest)
            .build(&spelled);
        let finder = finder.map_err(|error| format!("its added tokens: {error}"))?;
        Ok(Some(Self { finder, tokens }))
    }

    /// Cuts a normalised piece at these tokens.
    pub fn cut(&self, piece: &NormalizedString) -> Vec<Piece> {
        let text = piece.get();
        let mut cuts = Vec::new();
        let mut end = 0;
        for found in self.finder.find_iter(text) {
            let Some((id, token)) = self.tokens.get(found.pattern().as_usize()) else {
                continue;
            };
            let (before, behind) = (&text[..found.start()], &text[found.end()..]);
            let is_within_word = before.ends_with(is_of_word) || behind.starts_with(is_of_word);
            if found.is_empty() || found.start() < end || (token.single_word && is_within_word) {
                continue;
            }
            let begin = match token.lstrip {
                true => before.trim_end().len().max(end),
                false => found.start(),
            };
            let stop = match token.rstrip {
                true => text.len() - behind.trim_start().len(),
                false => found.end(),
            };
            cuts.push((end..begin, None));
            let token = Token::new(*id, token.content.clone(), (begin, stop));
            cuts.push((begin..stop, Some(vec![token])));
            end = stop;
        }
        cuts.push((end..text.len(), None));
        let pieces = cuts.into_iter().filter(|(range, _)| !range.is_empty());
        pieces
            .filter_map(|(range, token)| Some((piece.slice(Range::Normalized(range))?, token)))
            .collect()
    }
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
