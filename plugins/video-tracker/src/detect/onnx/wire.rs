//! The encoding that protocol buffers have: fields of numbers and bytes.

/// What a field holds.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "gpu"), allow(dead_code, reason = "an outline looks into bytes alone"))]
pub(super) enum Content<'m> {
    /// A number of up to 64 bits; a negative one is its two's complement.
    Number(u64),
    /// Bytes, a text, a message or packed numbers.
    Bytes(&'m [u8]),
    /// Four bytes, the lowest first.
    Four([u8; 4]),
    /// Eight bytes, which nothing here is made of.
    Eight,
}

/// Goes through the fields of a message, in their order.
///
/// # Errors
/// What is wrong, for a person; also what `visit` says.
pub(super) fn fields<'m>(
    mut bytes: &'m [u8],
    mut visit: impl FnMut(u64, Content<'m>) -> Result<(), String>,
) -> Result<(), String> {
    let whole = bytes.len();
    while !bytes.is_empty() {
        let at = whole - bytes.len();
        let broken = |what: &str| format!("{what} at byte {at} of {whole} in a message");
        let tag = varint(&mut bytes).ok_or_else(|| broken("there is a broken number"))?;
        let length = match tag & 7 {
            0 => {
                let number =
                    varint(&mut bytes).ok_or_else(|| broken("there is a broken number"))?;
                visit(tag >> 3, Content::Number(number))?;
                continue;
            }
            1 => 8,
            2 => varint(&mut bytes).ok_or_else(|| broken("there is a broken length"))?,
            5 => 4,
            _ => return Err(broken("there is no field")),
        };
        let split = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
        let (content, rest) = split.ok_or_else(|| broken("the file ends within the field"))?;
        let content = match (tag & 7, <[u8; 4]>::try_from(content)) {
            (2, _) => Content::Bytes(content),
            (5, Ok(four)) => Content::Four(four),
            _ => Content::Eight,
        };
        visit(tag >> 3, content)?;
        bytes = rest;
    }
    Ok(())
}

/// Takes a base-128 number, the low 7 bits first, off the front.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (i, byte) in bytes.iter().enumerate().take(VARINT_BYTES_MAX) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

const VARINT_BYTES_MAX: usize = 10;
