import { mix } from './mix.ts';
import { tokenize } from './tokens.ts';

// Words of three letters and a space before each: exactly one token.
const letters =
  'the and for are but not you all any can had her was one our out day get has him his how man new now old see two way who boy did ' +
  'its let put say she too use dad mom car run sun sky sea red big far few got own off set six ten top try win yes yet air arm art';
const words = letters.split(' ').map((word) => ` ${word}`);
const wordTokens = Uint32Array.from(words, (word) => tokenize(word)[0]);

/** Index of the word that an answer of this seed has at this place. */
function wordAt(seed: number, place: number): number {
  return mix(seed + Math.imul(place + 1, 0x9e3779b9)) % words.length;
}

/** The output token at a place of an answer: one word of four bytes. */
export function outputToken(seed: number, place: number): number {
  return wordTokens[wordAt(seed, place)];
}

/** Its text: a space and three letters, so that it tokenises back to the same id. */
export function outputText(seed: number, place: number): string {
  return words[wordAt(seed, place)];
}
