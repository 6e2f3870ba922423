// The sets of a samplesheet, held to its schema. No plugin is needed, so that it works on machines without a network.

// Returns a list of [ meta, [ files ], groups ]; rows of the same sample are files of one set, in the order of the rows, and
// name the same table of groups, or none.
def readSamplesheet(sheet, schema_file) {
    def schema = new groovy.json.JsonSlurper().parseText(schema_file.text).items
    def rows   = sheet.splitCsv(header: true, strip: true)
    if (!rows) {
        error("${sheet}: there are no rows under the header")
    }
    def unknown = rows[0].keySet() - schema.properties.keySet()
    if (unknown) {
        error("${sheet}: unknown columns: ${unknown.join(', ')}; allowed are ${schema.properties.keySet().join(', ')}")
    }
    rows.eachWithIndex { row, index ->
        schema.required.each { column ->
            if (!row[column]) {
                error("${sheet}, row ${index + 1}: ${column} is missing")
            }
        }
        row.each { column, value ->
            def property = schema.properties[column]
            if (value && !(value ==~ property.pattern)) {
                error("${sheet}, row ${index + 1}: ${column} '${value}': ${property.errorMessage}")
            }
        }
    }
    return rows
        .groupBy { row -> row.sample }
        .collect { sample, files ->
            def tables = files.collect { row -> row.groups }.findAll().unique()
            if (tables.size() > 1) {
                error("${sheet}: sample '${sample}' has several tables of groups: ${tables.join(', ')}")
            }
            [[id: sample], files.collect { row -> locate(row.sequences, sheet) }, tables ? locate(tables[0], sheet) : []]
        }
}

// What is neither absolute nor a URI lies beside the samplesheet.
def locate(name, sheet) {
    def is_anchored = name.startsWith('/') || name.contains('://')
    return file(is_anchored ? name : sheet.parent.resolve(name).normalize(), checkIfExists: true)
}
