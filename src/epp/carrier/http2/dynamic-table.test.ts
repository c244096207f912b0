import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { DynamicTable, tableBytes } from './dynamic-table.ts';
import { HeaderField } from './header-field.ts';

describe('DynamicTable', () => {
  it('holds what a list of the newest fields within the limit holds', () => {
    const step = fc.oneof(
      fc.record({ value: fc.nat(1500).map((length) => 'v'.repeat(length)) }),
      fc.record({ value: fc.constant('') }),
      fc.record({ limit: fc.nat(tableBytes) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const table = new DynamicTable();
        let model: HeaderField[] = [];
        let limit = tableBytes;
        for (const step of steps) {
          if ('limit' in step) table.resize((limit = step.limit));
          else {
            const field = new HeaderField('', step.value);
            table.add(field);
            model.unshift(field);
          }
          let bytes = 0;
          const fits = model.findIndex(({ size }) => (bytes += size) > limit);
          model = fits < 0 ? model : model.slice(0, fits);
          expect(model.every((field, index) => table.at(index) === field)).toBe(true);
          expect(table.at(model.length)).toBeUndefined();
        }
      }),
    );
  });

  it('holds as many of the smallest fields as its bytes allow', () => {
    const table = new DynamicTable();
    for (let added = 0; added < 1000; added += 1) table.add(new HeaderField('', ''));
    expect([table.at(127), table.at(128)]).toEqual([new HeaderField('', ''), undefined]);
  });
});
