import { Type } from 'typebox';
import type { TUnsafe } from 'typebox';
import { closed, withRules } from './schema-node.ts';

export const labelValuePattern = '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$';
/** Optional DNS prefix and `/`, then up to 63 characters. */
export const labelKeyPattern =
  '^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$';
const labelKey = new RegExp(labelKeyPattern);
const prefixLimit = 253;
const valueWords = 'a label value: at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends';

const validKey = (key: string): boolean => labelKey.test(key) && key.split('/')[0].length <= prefixLimit;

const validKeyRule = {
  cel: `self.split('/')[0].size() <= ${prefixLimit}`,
  message: 'has a prefix of more than 253 characters',
  cure: 'write a label name as `name` or `prefix.example/name`',
  check: validKey,
};

/** The name of a label. */
export const podLabel = (description: string, value: string) =>
  withRules(
    Type.String({
      minLength: 1,
      maxLength: prefixLimit + 64,
      pattern: labelKeyPattern,
      default: value,
      description,
      'x-words': 'a label name like app or prefix.example/name, the name at most 63 characters',
    }),
    [validKeyRule],
  );

/** The value of a label; not empty, since an empty one tells nothing. */
export const podLabelValue = (description: string, value: string) =>
  Type.String({
    minLength: 1,
    maxLength: 63,
    pattern: labelValuePattern,
    default: value,
    description,
    'x-words': valueWords,
  });

/** Labels of Kubernetes by name. Few, so that the API server's cost estimate of the key rule stays small. */
export const labels = (description: string, options: { minProperties?: number; maxProperties: number }) =>
  withRules(labelMap(description, options), [
    {
      cel: `self.all(key, key.matches('${labelKeyPattern}') && key.split('/')[0].size() <= ${prefixLimit})`,
      message: 'has a key that is no label name',
      cure: 'write label names as `name` or `prefix.example/name`, the name at most 63 characters',
      check: (map) => Object.keys(map).every(validKey),
    },
  ]);

const labelMap = (
  description: string,
  options: { minProperties?: number; maxProperties: number },
): TUnsafe<Record<string, string>> =>
  Type.Unsafe<Record<string, string>>({
    type: 'object',
    ...options,
    additionalProperties: Type.String({
      maxLength: 63,
      pattern: labelValuePattern,
      description: 'Value of the label.',
      'x-words': valueWords,
    }),
    description,
  });

/** Objects that have all these labels; an empty selector would take everything in the namespace and is refused. */
export const labelSelector = (description: string) =>
  closed(
    {
      matchLabels: labels('Labels that must all be there, with these values.', { minProperties: 1, maxProperties: 8 }),
    },
    { description },
  );
