/// Blocks in as many rows as a width takes, in their order; one that is wider has a row of its own.
func rows<Block>(
  of blocks: [Block], width: Int, gap: Int, measure: (Block) -> Int
) -> [[Block]] {
  var rows: [[Block]] = []
  var used = 0
  for block in blocks {
    let own = measure(block)
    if !rows.isEmpty, used + gap + own <= width {
      rows[rows.count - 1].append(block)
      used += gap + own
    } else {
      rows.append([block])
      used = own
    }
  }
  return rows
}
