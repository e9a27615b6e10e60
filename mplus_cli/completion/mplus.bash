# Completion of mplus in bash. Words come as lines, and are never evaluated.
_mplus() {
    local line kind=""
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        else
            COMPREPLY+=("$line")
        fi
    done < <(_MPLUS_COMPLETE=bash "$1" -- "${COMP_LINE:0:COMP_POINT}" 2>/dev/null)
    if [[ $kind == files ]]; then
        compopt -o default 2>/dev/null
    fi
}
complete -F _mplus mplus
