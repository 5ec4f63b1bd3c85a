//! Accents that are drawn as signs of their own over a letter, as older TeX fonts do. Sign and letter come in, the letter
//! that people would type goes out.

/// Each sign with the letters it is known on and what they become.
const COMPOSED: [(char, &str, &str); 11] = [
    ('´', "aeiouycnszlrAEIOUYCNSZLR", "áéíóúýćńśźĺŕÁÉÍÓÚÝĆŃŚŹĹŔ"),
    ('`', "aeiouAEIOU", "àèìòùÀÈÌÒÙ"),
    ('ˆ', "aeioucgjswyAEIOUCGJSWY", "âêîôûĉĝĵŝŵŷÂÊÎÔÛĈĜĴŜŴŶ"),
    ('¨', "aeiouyAEIOUY", "äëïöüÿÄËÏÖÜŸ"),
    ('˜', "anoANO", "ãñõÃÑÕ"),
    ('ˇ', "cdenrstzCDENRSTZ", "čďěňřšťžČĎĚŇŘŠŤŽ"),
    ('¸', "cstCST", "çşţÇŞŢ"),
    ('˚', "auAU", "åůÅŮ"),
    ('˘', "agiuAGU", "ăğĭŭĂĞŬ"),
    ('˙', "cegzCEGIZ", "ċėġżĊĖĠİŻ"),
    ('˝', "ouOU", "őűŐŰ"),
];

/// The accented letter, if the sign is an accent and the letter is known to bear it. An accented `ı` is an `i`.
pub fn compose(sign: char, letter: char) -> Option<char> {
    let letter = if letter == 'ı' { 'i' } else { letter };
    let (_, plain, accented) = COMPOSED.iter().find(|(known, ..)| *known == sign)?;
    let position = plain.chars().position(|known| known == letter)?;
    accented.chars().nth(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composes_every_pair_of_the_table() {
        for (sign, plain, accented) in COMPOSED {
            assert_eq!(plain.chars().count(), accented.chars().count(), "{sign}");
        }
        assert_eq!(compose('¨', 'a'), Some('ä'));
        assert_eq!(compose('´', 'ı'), Some('í'));
        assert_eq!(compose('¨', 'x'), None);
        assert_eq!(compose('a', 'a'), None);
    }
}
