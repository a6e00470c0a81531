/** Rows of cells, each under the name of its column. */
export interface Table {
  set(row: string, column: string, cell: string): void;
  /** Its lines, with columns of one width. */
  lines(): string[];
}

/** Makes one; its rows and columns come in the order in which they are first set. */
export function createTable(corner: string): Table {
  const rows = new Map<string, Map<string, string>>();
  const columns = new Set<string>();
  return {
    set(row, column, cell) {
      columns.add(column);
      const cells = rows.get(row) ?? new Map<string, string>();
      rows.set(row, cells.set(column, cell));
    },
    lines() {
      const all = [
        [corner, ...columns],
        ...[...rows].map(([row, cells]) => [
          row,
          ...[...columns].map((column) => cells.get(column) ?? ''),
        ]),
      ];
      const widths = [corner, ...columns].map((_, index) =>
        Math.max(...all.map((cells) => (cells[index] ?? '').length)),
      );
      return all.map((cells) =>
        cells
          .map((cell, index) => cell.padEnd(widths[index] ?? 0))
          .join('  ')
          .trimEnd(),
      );
    },
  };
}
